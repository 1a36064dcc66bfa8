"""How many items a comparison needs, and how small a change a given number of items can show.

Formula: Fleiss, Levin and Paik (2003), Statistical Methods for Rates and Proportions, section 4.2, without the
continuity correction.
"""

import math

from scipy import optimize, stats

from veridical.errors import ConfigError


def needed_n(first: float, second: float, *, power: float = 0.8, alpha: float = 0.05) -> int:
    """Items a run, two runs on different items, to tell one rate from another.

    Pairs need fewer; how many fewer depends on how often the runs disagree, which nobody knows beforehand.

    Args:
        first: Rate of the first run.
        second: Rate of the second run.
        power: Probability of finding the difference.
        alpha: Two-sided level of the test.

    Raises:
        ConfigError: A rate lies outside [0, 1], or the rates are equal (no n tells them apart).
    """
    for rate in (first, second):
        _check_rate(rate)
    if first == second:
        raise ConfigError(f"No number of items tells a rate of {first} from itself. Give two different rates.")
    return math.ceil(_exact_needed_n(first, second, power=power, alpha=alpha) - 1e-9)


def minimum_detectable_difference(n: int, rate: float, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """Smallest change of a rate that two runs of n items each would find, in the direction of one half (the harder).

    Args:
        n: Items a run.
        rate: Rate of the first run.
        power: Probability of finding the difference.
        alpha: Two-sided level of the test.

    Returns:
        The difference in [0, 1]; 1 where no change whatever would be found.
    """
    _check_rate(rate)
    sign = 1.0 if rate < 0.5 else -1.0
    room = 1.0 - rate if sign > 0 else rate

    def shortfall(difference: float) -> float:
        return _exact_needed_n(rate, rate + sign * difference, power=power, alpha=alpha) - n

    if n <= 0 or shortfall(room) > 0:
        return 1.0
    return float(optimize.brentq(shortfall, 1e-9, room, xtol=1e-10))


def _exact_needed_n(first: float, second: float, *, power: float, alpha: float) -> float:
    z_alpha, z_power = float(stats.norm.ppf(1 - alpha / 2)), float(stats.norm.ppf(power))
    pooled = (first + second) / 2
    null = math.sqrt(2 * pooled * (1 - pooled))
    apart = math.sqrt(first * (1 - first) + second * (1 - second))
    return float(((z_alpha * null + z_power * apart) / (first - second)) ** 2)


def _check_rate(rate: float) -> None:
    if not 0 <= rate <= 1:
        raise ConfigError(f"A rate lies in [0, 1], got {rate}. Percentages must be divided by 100.")
