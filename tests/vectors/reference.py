"""The exact arithmetic, version 2, written a second time from docs/exact.md alone, to check the known answers.

Python 3, standard library only. Section numbers are those of docs/exact.md. Every number is compared bit by bit.
Exit status 1 names the first case that differs; 0 means that none does.
"""

import copy
import decimal
import json
import math
import pathlib
import re
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
VECTORS = HERE / "exact-v2.json"
FROZEN = HERE.parent.parent / "src" / "arithmetic"

LOG2_E, LN_2 = 1.4426950408889634, 0.6931471805599453  # the nearest doubles
LN_2_HIGH, LN_2_LOW = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
P = [6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01, 2.222219843214978396e-01,
     1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01]
KEY_NEGATIVE_INFINITY, KEY_POSITIVE_INFINITY = -2139095041, 2139095040
NEGATIVE_INFINITY, POSITIVE_INFINITY = 0xFF800000, 0x7F800000
FARTHEST, NEAREST = 60 * 2.0**23, 2.0**-30
MODULUS, TILE, SUBTILE = 1 << 32, 4096, 64
CHORD = 0x3FB8BA3D

def float_of(bits):
    return struct.unpack(">f", struct.pack(">I", bits))[0]

def bits_of_float(x):
    return int(struct.pack(">f", x).hex(), 16)

def single(x):
    """The nearest binary32. A sum, difference or product of two, computed in double, is rounded as if only once."""
    try:
        return float_of(bits_of_float(x))
    except OverflowError:
        return math.copysign(math.inf, x)

def not_below(x):
    """The bits of the least binary32 not below x; x is positive and far from the limits of the range."""
    bits = bits_of_float(x)
    return bits + (float_of(bits) < x)

def computed_constants():
    """Sections 6 and 7: the tables, and a slope; section 10: ln 2. From their definitions, at 60 digits."""
    decimal.getcontext().prec = 60
    two, chord = decimal.Decimal(2), decimal.Decimal(float_of(CHORD))
    powers = [two ** (decimal.Decimal(-i) / 1024) for i in range(1024)]
    lane_table = [not_below(power / chord) - (i > 0) for i, power in enumerate(powers)]  # all irrational
    slope = round((1 - two ** (decimal.Decimal(-1) / 1024)) * 2**28)
    return lane_table, [round(power * 2**31) for power in powers], slope, round(two.ln() * 2**32)

LANE_TABLE, TABLE, SLOPE, LN_2_Q32 = computed_constants()

# Section 1: logits and keys
def widen(element, dtype):
    if dtype == "f16":
        return bits_of_float(struct.unpack(">e", struct.pack(">H", element))[0])
    return element << 16 if dtype == "bf16" else element

def key(bits):
    if bits > NEGATIVE_INFINITY:
        return 0x7FFFFFFF
    k = bits - MODULUS ^ 0x7FFFFFFF if bits >> 31 else bits
    return 0 if k == -1 else k

def bits_of(k):
    return (k ^ 0x7FFFFFFF) % MODULUS if k < 0 else k

# Section 2: status of a row
def status(logits):
    largest_key = max(map(key, logits))
    if largest_key > KEY_POSITIVE_INFINITY:
        return "nan"
    return {KEY_POSITIVE_INFINITY: "positive_infinity", KEY_NEGATIVE_INFINITY: "nothing_finite"}.get(largest_key, "ok")

class Temperature:
    def __init__(self, bits):  # section 3
        self.value = float_of(bits)
        self.per_logit = not_below(LOG2_E / self.value * 2.0**23)
        fraction, exponent = math.frexp(self.value)  # the fraction is in [1/2, 1)
        self.shift = 24 - (exponent - 1 if fraction == 0.5 else exponent)
        self.rate = math.floor(LOG2_E / (self.value * 2.0**self.shift) * 2.0**54 + 0.5)

    def fixed(self, bits):  # section 4
        mantissa, left = bits & 0x7FFFFF | 0x800000, (bits >> 23 & 0xFF) - 150 + self.shift
        magnitude = mantissa << left if left >= 0 else mantissa >> -left
        return (-magnitude if bits >> 31 else magnitude) % MODULUS

    def octaves(self, reference, bits):  # section 4, q
        distance = (self.fixed(reference) - self.fixed(bits)) % MODULUS
        return (4 * distance % MODULUS) * self.rate >> 32

    def outside_window(self, reference, bits):  # section 5; here in double arithmetic, any rounding will do
        return bits == NEGATIVE_INFINITY or float_of(reference) / 2 - float_of(bits) / 2 >= 24 * self.value

# Section 6: lanes
def weigh_in_lane(temperature, maximum, bits):
    """Units (q), and weight and surprisal, both binary32."""
    distance = single(single(float_of(maximum) - float_of(bits)) * float_of(temperature.per_logit))
    distance = min(distance, FARTHEST) if distance == distance else FARTHEST
    q, y = math.trunc(distance), max(distance, NEAREST)
    u = single(float_of(LANE_TABLE[(q >> 13) % 1024]) * float_of(CHORD - q % (1 << 13)))
    return q, *(float_of(bits_of_float(z) - (q & 0x7F800000)) for z in (u, single(u * y)))

def sum_of_lane(z):
    def four(a, b, c, d):
        return single(single(a + b) + single(c + d))
    return four(*(four(*z[j::4]) for j in range(4)))

def lanes_of(temperature, logits):
    """Of each lane of a tile: its maximum (bits), the sum of its weights, and that of its surprisals."""
    for start in range(0, len(logits), SUBTILE):
        subtile = logits[start:start + SUBTILE]
        subtile += [NEGATIVE_INFINITY] * (SUBTILE - len(subtile))
        for k in range(4):
            lane = [subtile[16 * i + 4 * k + j] for i in range(4) for j in range(4)]
            maximum = bits_of(max(map(key, lane)))
            _, weights, surprisals = zip(*(weigh_in_lane(temperature, maximum, bits) for bits in lane))
            yield maximum, sum_of_lane(weights), sum_of_lane(surprisals)

# Section 7: mantissa
def mantissa_of(q):
    f = q % (1 << 24)
    entry = TABLE[f >> 14]
    drop = ((f % (1 << 14)) * SLOPE + 32768) >> 16
    return entry - (((entry >> 15) * drop) >> 11)

def weigh(temperature, reference, bits):
    """Octaves (Q24), weight (Q50)."""
    if temperature.outside_window(reference, bits):
        return None, 0
    q = temperature.octaves(reference, bits)
    return q, (mantissa_of(q) << 19) >> (q >> 24)

# Section 8: tiles and rows, each its maximum (bits), mass and surprisal
def tile_of(temperature, logits):
    maximum, tile_mass, tile_surprisal = bits_of(max(map(key, logits))), 0, 0
    if maximum == NEGATIVE_INFINITY:
        return maximum, 0, 0
    for lane_maximum, weights, surprisals in lanes_of(temperature, logits):
        if temperature.outside_window(maximum, lane_maximum):
            continue
        q = temperature.octaves(maximum, lane_maximum)
        factor, n = mantissa_of(q), q >> 24
        mass = (math.trunc(weights * 2.0**23) * factor) >> (4 + n)
        tile_mass += mass
        tile_surprisal += ((math.trunc(surprisals * 2.0**4) * factor) >> (14 + n)) + ((mass * q) >> 30)
    return maximum, tile_mass, tile_surprisal

def row_of(temperature, logits):
    tiles = [tile_of(temperature, logits[start:start + TILE]) for start in range(0, len(logits), TILE)]
    row_maximum = bits_of(max(key(maximum) for maximum, _, _ in tiles))
    row_mass = row_surprisal = 0
    for maximum, mass, surprisal in tiles:
        if temperature.outside_window(row_maximum, maximum):
            continue
        q = temperature.octaves(row_maximum, maximum)
        factor, n = mantissa_of(q), q >> 24
        mass_term = (mass * factor) >> (41 + n)
        row_mass += mass_term
        row_surprisal += ((surprisal * factor) >> (35 + n)) + ((mass_term * q) >> 24)
    return row_maximum, row_mass, row_surprisal

# Section 9: on the host
def logprob(x, maximum, temperature, log_mass):
    return (float_of(x) - float_of(maximum)) / temperature.value - log_mass

def logarithm(x):
    """Natural logarithm in the specified order of operations; x is positive and normal."""
    bits = struct.unpack(">Q", struct.pack(">d", x))[0]
    high = (bits >> 32) + (0x3FF00000 - 0x3FE6A09E)
    k = float((high >> 20) - 0x3FF)
    high = (high & 0xFFFFF) + 0x3FE6A09E
    f = struct.unpack(">d", struct.pack(">Q", high << 32 | bits & 0xFFFFFFFF))[0] - 1.0
    half_square, s = 0.5 * f * f, f / (2.0 + f)
    z = s * s
    w = z * z
    even = w * (P[1] + w * (P[3] + w * P[5]))
    odd = z * (P[0] + w * (P[2] + w * (P[4] + w * P[6])))
    return s * (half_square + (odd + even)) + k * LN_2_LOW - half_square + f + k * LN_2_HIGH

# Section 10: results that stay on the device
def natural_log(mass):  # L
    place = mass.bit_length() - 1
    y, log = (mass << 31) >> place, place - 40
    for _ in range(26):
        square = (y * y) >> 32
        carry = square >> 31
        log, y = 2 * log + carry, square if carry else 2 * square
    return (log * LN_2_Q32) >> 32

def point(a, b):
    return min(60 - (max(a >> 23 & 0xFF, b >> 23 & 0xFF) - 127), 30)

def wide(bits, p):
    mantissa, left = bits & 0x7FFFFF | 0x800000, (bits >> 23 & 0xFF) - 150 + p
    magnitude = mantissa << left if left >= 0 else mantissa >> min(-left, 31)
    return -magnitude if bits >> 31 else magnitude

def ln_at(log, p):
    return (16 * log) >> min(30 - p, 63)

def nearest_binary32(integer, p):
    """The bits of the binary32 nearest to integer * 2^-p, which is never subnormal, as p is at most 30."""
    magnitude = abs(integer)
    if magnitude == 0:
        return 0
    excess = magnitude.bit_length() - 24
    scaled = magnitude << max(-excess, 0)
    mantissa, rest = scaled >> max(excess, 0), scaled % (1 << max(excess, 0))
    mantissa += 2 * rest + (mantissa & 1) > 1 << excess if excess > 0 else 0
    # The hidden bit, or a carry out of the mantissa, adds one to the exponent; past the largest lies infinity.
    bits = min(((excess - p + 149) << 23) + mantissa, POSITIVE_INFINITY)
    return bits | 0x80000000 if integer < 0 else bits

def log_softmax(x, maximum, log):
    if x == NEGATIVE_INFINITY:
        return x
    p = point(maximum, x)
    distance = wide(maximum, p) - wide(x, p)
    return nearest_binary32(-(distance + ln_at(log, p)), p) if distance else nearest_binary32(-16 * log, 30)

def log_sum_exp(maximum, log):
    p = point(maximum, maximum)
    return nearest_binary32(wide(maximum, p) + ln_at(log, p), p)

# The comparison. Answers are hexadecimal strings of bits.
def double(value):
    return struct.pack(">d", value).hex()

def first_difference(case, answers):
    wrong = [name for name, answer in answers.items() if case[name] != answer]
    return f"{wrong[0]} is {case[wrong[0]]}, computed {answers[wrong[0]]}" if wrong else None

def check_token(case):
    temperature = Temperature(int(case["temperature"], 16))
    pair = int(case["max"], 16), int(case["logit"], 16)
    octaves, weight = weigh(temperature, *pair)
    units, *floats = weigh_in_lane(temperature, *pair)
    lane_weight, lane_surprisal = (f"{bits_of_float(z):08x}" for z in floats)
    return first_difference(case, {"octaves": octaves, "weight": f"{weight:016x}", "units": units,
                                   "lane_weight": lane_weight, "lane_surprisal": lane_surprisal})

def check_row(case):
    elements = re.findall("." * (8 if case["dtype"] == "f32" else 4), case["logits"])
    logits = [widen(int(element, 16), case["dtype"]) for element in elements]
    answers = {"status": status(logits)}
    if answers["status"] != "ok":
        nothing = "max mass surprisal logsumexp entropy target log_softmax log_sum_exp".split()
        return first_difference(case, {**answers, **dict.fromkeys(nothing), "top": []})
    temperature = Temperature(int(case["temperature"], 16))
    maximum, mass, surprisal = row_of(temperature, logits)
    log = natural_log(row_of(Temperature(0x3F800000), logits)[1])
    answers.update(max=f"{maximum:08x}", mass=f"{mass:016x}", surprisal=f"{surprisal:016x}",
                   log_softmax=[f"{log_softmax(x, maximum, log):08x}" for x in logits[:16]],
                   log_sum_exp=f"{log_sum_exp(maximum, log):08x}")
    keys = [key(x) for x in logits]
    finite = [token for token, k in enumerate(keys) if k > KEY_NEGATIVE_INFINITY]
    top = sorted(finite, key=lambda token: (-keys[token], token))[:4]
    log_mass = logarithm(float(mass) * 2.0**-40)
    def of(token):
        return double(logprob(bits_of(keys[token]), maximum, temperature, log_mass))
    answers["top"] = [[token, f"{bits_of(keys[token]):08x}", of(token)] for token in top]
    token = case["target"] and case["target"]["token"]
    answers["target"] = None if token is None else {
        "token": token, "logprob": of(token),
        "n_greater": sum(k > keys[token] for k in keys), "n_equal": keys.count(keys[token])}
    answers["logsumexp"] = double(float_of(maximum) / temperature.value + log_mass)
    answers["entropy"] = double(log_mass + float(surprisal) / float(mass) * LN_2)
    return first_difference(case, answers)

def self_test(case, check, *inputs):
    """Flips one bit of each answer of a case that passes, one at a time: the check must see every flip."""
    def visit(node, changed):
        for name in node if isinstance(node, dict) else range(len(node)):
            old = node[name]
            if isinstance(old, (dict, list)):
                yield from visit(old, changed)
            elif name not in inputs:
                node[name] = old ^ 1 if isinstance(old, int) else f"{int(old, 16) ^ 8:0{len(old)}x}"
                yield None if check(changed) else f"self-test: {name} {old} became {node[name]} unseen"
                node[name] = old
    changed = copy.deepcopy(case)
    return next(filter(None, visit(changed, changed)), None)

def main():
    vectors = json.loads(VECTORS.read_text())
    tokens, rows = vectors["tokens"], vectors["rows"]
    frozen = [int(entry) for entry in re.findall("[0-9]+", (FROZEN / "table.in").read_text())]
    frozen_lanes = [int(entry, 16) for entry in re.findall("0x([0-9a-f]+)", (FROZEN / "lane_table.in").read_text())]
    one = Temperature(0x3F800000)
    constants = (vectors["arithmetic_version"], SLOPE, LN_2_Q32, one.shift, one.rate, one.per_logit)
    same = frozen == TABLE and frozen_lanes == LANE_TABLE and constants == (
        2, 181643, 2977044472, 24, 1549082005, 0x4B38AA3C)
    differences = [] if same else ["the version, a table or a constant is not that of the document"]
    for kind, cases, check in (("tokens", tokens, check_token), ("rows", rows, check_row)):
        found = [(index, check(case)) for index, case in enumerate(cases)]
        differences += [f"{kind}[{index}]: {difference}" for index, difference in found if difference]
    if not differences:
        token = next(case for case in tokens if case["octaves"] and int(case["weight"], 16))
        row = next(case for case in rows if case["target"] and len(case["top"]) == 4)
        differences += filter(None, (
            self_test(token, check_token, "temperature", "logit", "max"),
            self_test(row, check_row, "temperature", "dtype", "logits", "token", "status")))
    if differences:
        print(f"reference: {len(differences)} differences, the first: {differences[0]}")
        return 1
    print(f"reference: {len(tokens)} token cases, {len(rows)} rows, 0 differences")
    return 0

if __name__ == "__main__":
    sys.exit(main())
