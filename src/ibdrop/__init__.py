"""ibdrop: experiments with information bottlenecks, dropout noise and uncertainty."""

__all__ = ["__version__"]

__version__ = "0.1.0"
