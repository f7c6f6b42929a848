"""Whether a model keeps examples apart that lie in one row, each with positions of its own (padding-free)."""

from __future__ import annotations

from typing import Any

from tasks.errors import InputError

_LENGTHS = (5, 8, 3)
_TOLERANCE = 1e-3
"""Of the largest logit; what another example changes where it is seen is of the order of the logits themselves."""


def require_separate_rows(model: Any) -> None:
    """Try it: three short examples in one row must give the logits that each gives alone.

    transformers tells examples apart by positions that begin anew, where there is no attention mask; a model with
    masks or a state of its own may not, and would mix them in silence.

    Raises:
        InputError: it does not keep them apart.
    """
    import torch

    training = model.training
    model.eval()
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, model.config.get_text_config().vocab_size, (1, sum(_LENGTHS)), generator=generator)
    places = torch.cat([torch.arange(length) for length in _LENGTHS])[None]
    with torch.inference_mode():
        together = model(
            input_ids=tokens.to(model.device), position_ids=places.to(model.device), use_cache=False
        ).logits[0]
        alone = torch.cat(
            [model(input_ids=one.to(model.device), use_cache=False).logits[0] for one in tokens.split(_LENGTHS, dim=1)]
        )
    model.train(training)
    apart = float((together - alone).abs().max() / alone.abs().max())
    if not apart <= _TOLERANCE:
        raise InputError(
            f"recipe.packing is padding-free, but {type(model).__name__} lets examples in one row see each other "
            f"(their logits change by {apart:.1%} of the largest); set recipe.packing to none"
        )
