"""Two published ways to predict losses from a mixture, to compare the response surface with.

Both see the training rows only. Each function takes training weights [R, S], training losses [R, T] and new weights
[M, S] and gives predicted losses [M, T]; every target is fitted by itself.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import least_squares

_STARTS = np.linspace(-2, 1.5, 4)
_LARGEST_EXPONENT = 30.0


def lightgbm(weights: np.ndarray, losses: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Gradient-boosted trees with RegMix's settings (Liu et al., arXiv 2407.01492): 1,000 trees, rate 0.01, l2 loss.

    RegMix stops early on the rows that it then reports on. Here no such rows exist, and stopping after 3 rounds on a
    fifth of the training rows was better at no size, so all trees are grown on all training rows. The defaults'
    20 rows a leaf cannot split fewer than 40 runs at all and cost accuracy below 256; of the leaf sizes tried (2, 5,
    20, a share of the runs), a sixteenth of the runs within 5 to 20 was best or equal at every size.
    """
    from lightgbm import Dataset, train

    settings = {
        "objective": "regression",
        "learning_rate": 1e-2,
        "min_data_in_leaf": int(np.clip(len(weights) // 16, 5, 20)),
        "seed": 42,
        "verbosity": -1,
        "num_threads": 1,
    }
    models = [train(settings, Dataset(weights, losses[:, t]), num_boost_round=1_000) for t in range(losses.shape[1])]
    return np.stack([np.asarray(model.predict(new)) for model in models], axis=1)


def log_linear(weights: np.ndarray, losses: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The law that olmix fits (Ye et al., arXiv 2403.16952): loss = exp(c) + exp(weights · t), S + 1 parameters.

    As the weights sum to 1, a constant inside the second exponent is part of t. Four starts over olmix's range of c,
    each with t from a linear regression of log(loss − exp(c)); the best of the least-squares fits is taken. olmix's
    Huber loss (threshold 0.02) and penalties on t were worse here at every size.
    """
    return np.stack([_fit_log_linear(weights, losses[:, t], new) for t in range(losses.shape[1])], axis=1)


def _fit_log_linear(weights: np.ndarray, loss: np.ndarray, new: np.ndarray) -> np.ndarray:
    def parts(p: np.ndarray, rows: np.ndarray) -> tuple[float, np.ndarray]:
        return np.exp(min(p[0], _LARGEST_EXPONENT)), np.exp(np.minimum(rows @ p[1:], _LARGEST_EXPONENT))

    def residuals(p: np.ndarray) -> np.ndarray:
        return sum(parts(p, weights)) - loss

    def jacobian(p: np.ndarray) -> np.ndarray:
        floor, rest = parts(p, weights)
        return np.column_stack([np.full(len(loss), floor), weights * rest[:, None]])

    fits = []
    for start in _STARTS:
        floor = min(np.exp(start), 0.95 * loss.min())
        excess = np.log(loss - floor)
        # A row of 1e-2 per weight keeps the start finite where a weight is 0 in all runs.
        pull = 1e-2 * np.eye(weights.shape[1])
        slopes = np.linalg.lstsq(
            np.vstack([weights, pull]), np.append(excess, pull @ np.full(len(pull), excess.mean()))
        )
        fits.append(least_squares(residuals, np.append(np.log(floor), slopes[0]), jac=jacobian, max_nfev=200))
    return sum(parts(min(fits, key=lambda fit: fit.cost).x, new))
