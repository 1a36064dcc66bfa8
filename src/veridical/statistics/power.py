"""How many items a comparison needs, and how small a change a given number of items can show.

Formula: Fleiss, Levin and Paik (2003), Statistical Methods for Rates and Proportions, section 4.2,
without the continuity correction.
"""

import math

from scipy import optimize, stats

from veridical.errors import ConfigError
from veridical.records import Difference


def needed_n(first: float, second: float, *, power: float = 0.8, alpha: float = 0.05) -> int:
    """Items per run, for two runs on different items, to tell one rate from another.

    Pairs need fewer; how many fewer depends on how often the runs disagree, which nobody knows
    beforehand.

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
        raise ConfigError(
            f"No number of items tells a rate of {first} from itself. Give two different rates."
        )
    return math.ceil(_exact_needed_n(first, second, power=power, alpha=alpha) - 1e-9)


def minimum_detectable_difference(
    n: int, rate: float, *, power: float = 0.8, alpha: float = 0.05
) -> float:
    """Smallest change of a rate, towards one half, that two runs of n items each would find.

    Args:
        n: Items per run.
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


def needed_pairs(difference: Difference, *, power: float = 0.8, alpha: float = 0.05) -> int | None:
    """How many pairs would show the difference observed, if the runs differ as these pairs do.

    From the interval: n · ((z₁₋α⸝₂ + z_power) · standard error / difference)². None where the runs
    are equal, or where there is no spread to estimate from.

    Args:
        difference: What was observed.
        power: Probability of finding it.
        alpha: Two-sided level of the test.
    """
    error = (difference.high - difference.low) / (2 * float(stats.norm.ppf(0.975)))
    if difference.difference == 0 or error == 0:
        return None
    z = float(stats.norm.ppf(1 - alpha / 2)) + float(stats.norm.ppf(power))
    return math.ceil(difference.n * (z * error / difference.difference) ** 2)


def detectable_difference(
    difference: Difference, *, power: float = 0.8, alpha: float = 0.05
) -> float:
    """Smallest difference that these pairs would probably have shown, in the metric's unit."""
    error = (difference.high - difference.low) / (2 * float(stats.norm.ppf(0.975)))
    return error * (float(stats.norm.ppf(1 - alpha / 2)) + float(stats.norm.ppf(power)))


def power_sentence(
    first: float,
    second: float,
    difference: Difference,
    *,
    percent: bool,
    paired: bool = True,
    items: str = "items",
) -> str:
    """Say what a comparison that shows no difference could have shown.

    >>> from veridical.statistics import fisher
    >>> test = fisher((84, 146), (81, 146))
    >>> print(power_sentence(84 / 146, 81 / 146, test, percent=True, paired=False))
    146 items cannot tell 55.5 % from 57.5 % (p = 0.81); about 9,600 would be needed.

    Args:
        first: The first run's value.
        second: The second run's.
        difference: Second minus first, with its test.
        percent: Whether the values are rates, and shown in percent.
        paired: Whether both runs answered the same items; else n counts the items of both together,
            half each.
        items: What n counts.
    """

    def shown(value: float) -> str:
        return f"{100 * value:.1f} %" if percent else f"{value:.2f}"

    n = difference.n if paired else difference.n // 2
    p = f"p = {difference.p:.2f}" if difference.p >= 0.01 else f"p = {difference.p:.2g}"
    found = f"{n:,} {items} cannot tell {shown(second)} from {shown(first)} ({p})"
    if n == 0:
        return f"Nothing was measured by both runs: {p}."
    if first == second:
        return f"Both are {shown(first)} on {n:,} {items}."
    needed = needed_pairs(difference) if paired else _needed_for_shown(first, second)
    if needed is None or (needed <= n and paired):
        return f"{found}."
    if not paired:
        return f"{found}; about {_about(needed)} would be needed."
    least = detectable_difference(difference)
    least_text = f"{100 * least:.1f} points" if percent else f"{least:.2f}"
    return f"{found}; about {_about(needed)} would be needed, and {n:,} would show {least_text}."


def _needed_for_shown(first: float, second: float) -> int:
    """Items per run for the rates as shown, so that a reader can check the number."""
    shown = round(first, 3), round(second, 3)
    return needed_n(*(shown if shown[0] != shown[1] else (first, second)))


def _about(n: int) -> str:
    """Two leading digits: more would be pretence."""
    step = 10 ** max(0, len(str(n)) - 2)
    return f"{round(n / step) * step:,}"


def _exact_needed_n(first: float, second: float, *, power: float, alpha: float) -> float:
    z_alpha, z_power = float(stats.norm.ppf(1 - alpha / 2)), float(stats.norm.ppf(power))
    pooled = (first + second) / 2
    null = math.sqrt(2 * pooled * (1 - pooled))
    apart = math.sqrt(first * (1 - first) + second * (1 - second))
    return float(((z_alpha * null + z_power * apart) / (first - second)) ** 2)


def _check_rate(rate: float) -> None:
    if not 0 <= rate <= 1:
        raise ConfigError(f"A rate lies in [0, 1], got {rate}. Percentages must be divided by 100.")
