"""What logits may be: types, strides, tensors of others; what they may not be."""

import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import sortilege


def bits(logits):
    found = sortilege.logprobs(logits, top=12)
    return found.logsumexp.tobytes() + found.top_logprobs.tobytes() + found.top_tokens.tobytes()


def test_bfloat16_is_its_widened_copy(logits):
    thirds = logits / 3
    halves = thirds.astype(ml_dtypes.bfloat16)
    assert bits(halves) == bits(halves.astype(np.float32)) != bits(thirds)


def test_rows_may_be_any_distance_apart(logits):
    for view in [logits[:, 100:4200], logits[::2], logits[1::3, :5000], logits[2:3, 7:]]:
        assert bits(view) == bits(np.ascontiguousarray(view))
    cube = np.broadcast_to(logits, (1, *logits.shape))[:, ::3].transpose(1, 0, 2)
    assert bits(cube) == bits(logits[::3])
    grid = np.arange(4 * 6 * 50, dtype=np.float32).reshape(4, 6, 50)[:, :, :40]
    assert bits(grid) == bits(np.ascontiguousarray(grid))


def test_no_rows_of_any_layout(logits):
    """NumPy gives strides of 0 to what it makes without elements."""
    for empty in [logits[:0], np.ones((0, 9), np.float32), np.ones((3, 0, 9), np.float16), logits[:0, ::2], logits.T[:, :0].T]:
        found = sortilege.logprobs(empty, top=4)
        assert found.top_tokens.shape == (*empty.shape[:-1], 4) and len(sortilege.sample(empty)) == 0
        assert sortilege.log_softmax(empty).shape == empty.shape


def test_what_cannot_be_read_in_place_says_so(logits):
    grid = np.zeros((4, 6, 50), np.float32)
    for view in [logits.T, logits[:, ::2], logits[::-1], grid[:, :3], grid.transpose(1, 0, 2), logits[:, ::-1]]:
        with pytest.raises(sortilege.LogitsError, match="numpy.ascontiguousarray"):
            sortilege.logprobs(view)
    with pytest.raises(sortilege.LogitsError, match="row stride of 0"):
        sortilege.logprobs(np.broadcast_to(logits[0], (3, 9001)))
    with pytest.raises(sortilege.LogitsError, match="without a dimension"):
        sortilege.logprobs(np.float32(1))
    with pytest.raises(sortilege.LogitsError, match="vocab 0"):
        sortilege.logprobs(np.zeros((2, 0), np.float32))
    with pytest.raises(sortilege.LogitsError, match="no whole number of elements"):
        records = np.zeros((3, 8), np.dtype([("logit", "f4"), ("other", "u1")]))
        sortilege.logprobs(records["logit"][:, :1])


def test_other_types(logits):
    for other in [logits.astype(">f4"), logits.astype(np.longdouble), logits.tolist(), logits.astype(np.float64)]:
        assert bits(other) == bits(logits)
    for wrong in [logits.astype(np.int32), logits > 0, logits.astype(np.complex64), "logits", None, object()]:
        with pytest.raises(TypeError, match="are not read"):
            sortilege.logprobs(wrong)
    with pytest.raises(TypeError, match="float8"):
        sortilege.logprobs(logits.astype(ml_dtypes.float8_e4m3fn))


def test_float64_of_any_layout_is_copied(logits):
    assert bits(np.asfortranarray(logits.astype(np.float64))) == bits(logits[:, ::-1].astype(np.float64)[:, ::-1]) == bits(logits)


def test_what_a_mask_hides_is_not_read(logits):
    masked = np.ma.masked_less(logits, 0)
    with pytest.raises(sortilege.LogitsError, match="MaskedArray"):
        sortilege.logprobs(masked)
    assert bits(masked.filled(-np.inf)) != bits(logits)
    with pytest.raises(sortilege.ParamsError, match="targets: a numpy.ma.MaskedArray"):
        sortilege.logprobs(logits, np.ma.masked_equal(np.arange(7), 3))
    for mask in [np.ones(logits.shape, bool), np.ones((7, 282), np.int32)]:
        with pytest.raises(sortilege.ParamsError, match=r"mask.filled\(False\)"):
            sortilege.sample(logits, mask=np.ma.masked_array(mask, mask=mask == 1))


def test_numbers_out_of_range(logits):
    with pytest.raises(sortilege.ParamsError, match="targets hold 18446744073709551615"):
        sortilege.logprobs(logits, np.full(7, 2**64 - 1, np.uint64))
    assert (sortilege.logprobs(logits, np.arange(7, dtype=np.uint64)).target_tokens == np.arange(7)).all()
    for call in [
        lambda: sortilege.logprobs(logits, top=-1),
        lambda: sortilege.top_k(logits, -1),
        lambda: sortilege.compare(logits, logits, top=-1),
        lambda: sortilege.SamplingParams(top_k=-1),
        lambda: sortilege.SamplingParams(seed=-1),
        lambda: sortilege.SamplingParams(stop_token_ids=[-1]),
    ]:
        with pytest.raises(sortilege.ParamsError, match="-1.*0 or more"):
            call()


def test_read_only_and_unaligned_memory_is_read(logits):
    copy = logits.copy()
    copy.flags.writeable = False
    assert bits(copy) == bits(logits)
    room = np.zeros(logits.nbytes + 1, np.uint8)
    room[1:] = logits.view(np.uint8).ravel()
    assert bits(room[1:].view(np.float32).reshape(logits.shape)) == bits(logits)


class Tensor:
    """Speaks DLPack and is no array, as a tensor of another library; old ones know no versions."""

    def __init__(self, array, device=(1, 0), versions=True):
        self.array, self.device, self.versions = array, device, versions

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, **words):
        if words and not self.versions:
            raise TypeError("unexpected keyword argument")
        return self.array.__dlpack__(**words)


class Kept(Tensor):
    """Keeps the capsules that it gives."""

    def __init__(self, *args, **words):
        super().__init__(*args, **words)
        self.capsules = []

    def __dlpack__(self, **words):
        self.capsules.append(super().__dlpack__(**words))
        return self.capsules[-1]


def test_tensors_are_read_by_dlpack(logits):
    for versions in [True, False]:
        assert bits(Tensor(logits, versions=versions)) == bits(logits)
        assert bits(Tensor(logits[::3, 50:60], versions=versions)) == bits(logits[::3, 50:60])
        assert bits(Tensor(logits.astype(np.float16), versions=versions)) == bits(logits.astype(np.float16))
    assert bits(Tensor(logits[5])) == bits(logits[5])
    with pytest.raises(sortilege.LogitsError, match="vocab 0"):
        sortilege.logprobs(Tensor(np.zeros((5, 0), np.float32)))
    with pytest.raises(TypeError, match="DLPack's type"):
        sortilege.logprobs(Tensor(logits.astype(np.int64)))
    if np.lib.NumpyVersion(np.__version__) >= "2.1.0":
        logits.flags.writeable = False
        assert bits(Tensor(logits)) == bits(logits)


def test_a_lent_tensor_is_given_back(logits):
    """Its capsule is read, and as it is not consumed keeps its name; only that of a copy is, by NumPy, which says so in it."""
    for array in [logits, logits.astype(np.float64)]:
        for versions in [True, False]:
            before, tensor = sys.getrefcount(array), Kept(array, versions=versions)
            for _ in range(3):
                sortilege.log_softmax(tensor)
            assert sys.getrefcount(array) == before + 1 + 3  # the tensor, and a capsule of each call
            consumed = ["used_dltensor" in repr(capsule) for capsule in tensor.capsules]
            assert consumed == ([False] if array is logits else [False, True]) * 3
            del tensor
            assert sys.getrefcount(array) == before


@pytest.mark.parametrize("device, name", [((2, 1), "CUDA"), ((8, 0), "Metal"), ((77, 0), "other")])
def test_a_tensor_on_a_device_has_a_clear_answer(logits, device, name):
    with pytest.raises(sortilege.LogitsError, match=rf"memory of a {name} device .*logits.cpu\(\)"):
        sortilege.logprobs(Tensor(logits, device))


def peak():
    """The most bytes that the process has had, of Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read of /proc")
def test_no_copy_is_made():
    """Half a gigabyte of logits, of which the memory of the process does not see a tenth again."""
    logits = np.zeros((1024, 131072), np.float32)
    logits[:, 7] = 5
    sortilege.log_softmax(logits[:2])
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what there is now
    before = peak()
    found = sortilege.logprobs(logits, targets=np.full(1024, 7), top=20)
    grown = peak() - before
    assert (found.target_ranks == 1).all() and grown < logits.nbytes / 10, grown
    # The measure sees a copy.
    copy = logits.copy()
    assert peak() - before > logits.nbytes / 2
    del copy
