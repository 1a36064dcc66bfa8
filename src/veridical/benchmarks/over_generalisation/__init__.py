"""Over-generalisation: are the typical objects of a scene invented more often in it?"""

BENCHMARK = "over-generalisation = benchmark:OverGeneralisation"
