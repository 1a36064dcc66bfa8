"""HallusionBench: does an answer follow the figure when the figure is changed?"""

BENCHMARK = "hallusionbench = benchmark:HallusionBench"
