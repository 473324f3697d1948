"""Measures and helpers that several benches share.

They cover PSNR and SSIM, CLIP score and structure distance, bootstrap intervals, peak memory, contact sheets and the format of the
results files.
"""
