"""MME: two yes/no questions on each picture, one to be affirmed and one to be denied."""

BENCHMARK = "mme = benchmark:Mme"
