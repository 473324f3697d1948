"""Figures that every bench uses: PSNR and SSIM, confidence intervals, peak memory, contact sheets."""
