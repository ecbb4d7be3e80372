"""Published results of Gao et al. 2025 (OSGM): the COLT paper, and what the authors' code gives for OSGM-Best.

The published least-squares curves are of one draw that cannot be had. Ours are medians over eight matched draws, with
the range beside them; counts that grow with kappa* are taken per kappa*.
"""

from hypergrad_papers.osgm2025.claims import best, least_squares, svm, theory

__all__ = ["best", "least_squares", "svm", "theory"]
