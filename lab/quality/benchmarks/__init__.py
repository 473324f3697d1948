"""The methods of the quality bench on benchmarks of photographs, which are not part of this repository.

pie_bench     PIE-Bench, and the run that both share
ffhq_edit     photographs of FFHQ with sentences
"""
