"""Divergences, written a second time from docs/exact.md, section 14, alone, to check the known answers.

Python 3, standard library only. Section numbers are those of docs/exact.md; what other sections say is in reference.py.
Exit status 1 names the first case that differs; 0 means that none does.
"""

import copy
import decimal
import json
import math
import re
import sys

from reference import (FROZEN, HERE, KEY_NEGATIVE_INFINITY, LN_2, LN_2_Q32, NEGATIVE_INFINITY, TABLE, TILE, bits_of,
                       double, first_difference, key, logarithm, natural_log, status, widen)

VECTORS = HERE / "divergence-v2.json"
FARTHEST, RATE = 1 << 40, 1549082005

def information_of(t):
    """ln 2 - H(sigma(t)), at 60 digits."""
    odds = (-t).exp()
    return decimal.Decimal(2).ln() - (1 + odds).ln() - t * odds / (1 + odds)

def computed_table():
    steps = [decimal.Decimal(i) / 32 for i in range(1, 770)]
    return [1 << 31] + [round(information_of(t) / (t * t) * 2**34) for t in steps]

INFORMATION, CERTAIN = computed_table(), round(decimal.Decimal(2).ln() * 2**50)

def towards_zero(value, by):
    return value >> by if value >= 0 else -(-value >> by)

def units(bits):
    """trunc(x * 2^24) of a finite logit."""
    mantissa, left = bits & 0x7FFFFF | (0x800000 if bits & 0x7F800000 else 0), max(bits >> 23 & 0xFF, 1) - 150 + 24
    magnitude = mantissa << left if left >= 0 else mantissa >> -left
    return -magnitude if bits >> 31 else magnitude

def distance(maximum, bits):
    return FARTHEST if bits == NEGATIVE_INFINITY else min(units(maximum) - units(bits), FARTHEST)

def weight(d):
    """mantissa and n."""
    if d >= 1 << 30:
        return 0, 0
    octaves = 4 * d * RATE
    entry, rest = TABLE[(octaves >> 46) % 1024], (octaves >> 14) % (1 << 32)
    linear = (rest * LN_2_Q32) >> 32
    drop = linear - (((linear * linear) >> 32) >> 11)
    return entry - ((((entry * drop) >> 32) + 512) >> 10), octaves >> 56

def tile_of(own, other):
    """Largest logit, mass and cross of the first of two tiles."""
    maxima = [bits_of(max(map(key, tile))) for tile in (own, other)]
    mass = cross = 0
    for bits in zip(own, other):
        own_distance, other_distance = (distance(m, x) for m, x in zip(maxima, bits))
        mantissa, n = weight(own_distance)
        mass += (mantissa << 19) >> n
        cross += towards_zero((other_distance - own_distance << 22) * mantissa, 32 + n)
    return *maxima, mass, cross

def row_of(own, other):
    """Largest logits, mass and cross of the first of two rows."""
    tiles = [tile_of(own[start:start + TILE], other[start:start + TILE]) for start in range(0, len(own), TILE)]
    maxima = [bits_of(max(key(tile[i]) for tile in tiles)) for i in (0, 1)]
    row_mass = row_cross = 0
    for own_maximum, other_maximum, mass, cross in tiles:
        own_distance, other_distance = distance(maxima[0], own_maximum), distance(maxima[1], other_maximum)
        mantissa, n = weight(own_distance)
        row_mass += (mass * mantissa) >> (41 + n)
        total = 2 * cross + towards_zero(mass * (other_distance - own_distance), 28)
        row_cross += towards_zero(total * mantissa, 32 + n)
    return maxima, row_mass, row_cross

def information(t):
    """Q50, t Q26."""
    if t >= 24 << 26:
        return CERTAIN
    rest = (t % (1 << 21)) << 11
    a, b, c = INFORMATION[t >> 21:(t >> 21) + 3]
    bend = (a - b) - (b - c)
    below = (abs(bend) * ((rest * ((1 << 32) - 1 - rest)) >> 32)) >> 33
    g = a - (((a - b) * rest) >> 32) - (below if bend >= 0 else -below)
    return (t * t * g) >> 36

def informations_of(own, other, maxima, logs):
    total = 0
    for start in range(0, len(own), TILE):
        tile = 0
        for bits in zip(own[start:start + TILE], other[start:start + TILE]):
            own_distance, other_distance = (distance(m, x) for m, x in zip(maxima, bits))
            t = abs(4 * (other_distance - own_distance) + logs[1] - logs[0])
            mantissa, n = weight(own_distance)
            tile += (information(t) * mantissa) >> (32 + n)
        total += tile >> 6
    return total

def check_pair(case):
    rows = []
    for dtype, digits in zip(case["dtypes"], case["logits"]):
        elements = re.findall("." * (8 if dtype == "f32" else 4), digits)
        rows.append([widen(int(element, 16), dtype) for element in elements])
    statuses = [status(row) for row in rows]
    nothing = dict(masses=["0" * 16] * 2, crosses=["0" * 24] * 2, unmatched=0, informations=["0" * 16] * 2)
    if statuses != ["ok"] * 2:
        numbers = dict.fromkeys(("kl", "reverse_kl", "jensen_shannon"))
        return first_difference(case, {"statuses": statuses, **nothing, **numbers})
    sides = [row_of(*rows), row_of(*rows[::-1])]
    masses, crosses = [side[1] for side in sides], [side[2] for side in sides]
    logs, maxima = [natural_log(mass) for mass in masses], sides[0][0]
    said = [informations_of(*rows, maxima, logs), informations_of(*rows[::-1], maxima[::-1], logs[::-1])]
    possible = [[key(x) > KEY_NEGATIVE_INFINITY for x in row] for row in rows]
    alone = [any(p and not q for p, q in zip(*possible)), any(q and not p for p, q in zip(*possible))]
    s = [logarithm(float(mass) * 2.0**-40) for mass in masses]
    def kl(i):
        value = float(crosses[i]) / float(masses[i]) * 2.0**-5 + (s[1 - i] - s[i])
        return math.inf if alone[i] else max(value, 0.0)
    means = [float(said[i]) / float(masses[i]) * 2.0**-3 for i in (0, 1)]
    return first_difference(case, {
        "statuses": statuses, "masses": [f"{mass:016x}" for mass in masses],
        "crosses": [f"{cross % (1 << 96):024x}" for cross in crosses], "unmatched": alone[0] + 2 * alone[1],
        "informations": [f"{sum:016x}" for sum in said], "kl": double(kl(0)), "reverse_kl": double(kl(1)),
        "jensen_shannon": double(min(0.5 * (means[0] + means[1]), LN_2))})

def self_test(case):
    """Changes each answer of a case that passes, one at a time: the check must see every change."""
    for name in set(case) - {"dtypes", "logits"}:
        changed = copy.deepcopy(case)
        changed[name] = changed[name] + 1 if name == "unmatched" else str(changed[name])[::-1]
        if not check_pair(changed):
            return f"self-test: another {name} is not seen"
    return None

def main():
    vectors = json.loads(VECTORS.read_text())
    frozen = re.findall("0x([0-9a-f]+)", (FROZEN / "information_table.in").read_text())
    same = [int(entry, 16) for entry in frozen] == INFORMATION and CERTAIN == 780414346020670
    differences = [] if same else ["the table or a constant is not that of the document"]
    found = [(index, check_pair(case)) for index, case in enumerate(vectors["pairs"])]
    differences += [f"pairs[{index}]: {difference}" for index, difference in found if difference]
    differences = differences or [wrong for wrong in (self_test(vectors["pairs"][2]),) if wrong]
    if differences:
        print(f"divergence: {len(differences)} differences, the first: {differences[0]}")
        return 1
    print(f"divergence: {len(vectors['pairs'])} pairs, 0 differences")
    return 0

if __name__ == "__main__":
    sys.exit(main())
