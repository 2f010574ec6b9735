"""Writes austen.txt.gz from the Debian package r-cran-janeaustenr.

    apt-get download r-cran-janeaustenr
    dpkg -x r-cran-janeaustenr_*.deb unpacked
    pip install rdata
    python3 prepare.py unpacked/usr/lib/R/site-library/janeaustenr/data/Rdata.rdb austen.txt.gz

Needed only to make the text anew; training reads austen.txt.gz.
"""

import bz2
import gzip
import lzma
import re
import struct
import sys
import zlib

import rdata

# The order of the novels in the output, each with how the package's text of it starts.
# Pride and Prejudice is last, so that its last chapters are the held-out text.
ORDER = ["SENSE AND", "NORTHANGER", "MANSFIELD", "EMMA", "Persuasion", "PRIDE AND"]

HEADING = re.compile(r"^(CHAPTER|VOLUME|Chapter|Volume) \S+$")


def vectors(path):
    """The character vectors in an R lazy-load database, each as a list of lines."""
    data = open(path, "rb").read()
    start = 0
    while start < len(data):
        (length,) = struct.unpack(">I", data[start : start + 4])
        start += 4
        kind = data[start : start + 1]
        if kind == b"2":
            unpacker, start = bz2.BZ2Decompressor(), start + 1
        elif kind == b"Z":
            unpacker, start = lzma.LZMADecompressor(), start + 1
        else:
            unpacker = zlib.decompressobj()
        raw = unpacker.decompress(data[start:])
        assert len(raw) == length, (kind, len(raw), length)
        start = len(data) - len(unpacker.unused_data)
        parsed = rdata.parser.parse_data(raw)
        yield [str(line) for line in rdata.conversion.convert(parsed)]


def paragraphs(lines):
    """One line for each paragraph, without title page, headings and editors' notes."""
    first = next(i for i, line in enumerate(lines) if HEADING.match(line))
    body = "\n".join(line.strip() for line in lines[first:])
    body = body.split("A NOTE ON THE TEXT")[0].split("*Vide a letter")[0]
    for paragraph in re.split(r"\n{2,}", body):
        text = " ".join(paragraph.split()).replace("_", "").replace("*", "")
        is_note = text.startswith("[End volume") or text.startswith("[At this point")
        is_end = text.upper() in ("FINIS", "THE END")
        if text.strip() and not is_note and not is_end and not HEADING.match(text):
            yield text


def main(source, target):
    found = list(vectors(source))
    novels = [next(v for v in found if v[0].startswith(start)) for start in ORDER]
    text = "".join(line + "\n" for novel in novels for line in paragraphs(novel))
    # No time stamp in the header: the same text gives the same bytes.
    with open(target, "wb") as file:
        file.write(gzip.compress(text.encode("utf-8"), 9, mtime=0))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
