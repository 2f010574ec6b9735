"""What can go wrong. Every message names the value, the limit and the remedy."""


class Error(Exception):
    """Every error of sortilege's own; a value of a wrong type is a `TypeError`."""


class LogitsError(Error, ValueError):
    """The logits are not where or what they must be."""


class ParamsError(Error, ValueError):
    """Something is asked outside its range."""


class DeviceError(Error, RuntimeError):
    """There is no such device, it cannot hold or run this batch, or it failed."""


class LogError(Error, ValueError):
    """A log cannot be written, or is none."""


class LogFileError(OSError, LogError):
    """The file of a log cannot be opened, read or written: as of Python's own `OSError`, with `errno` and `filename`."""
