"""The parts of a model: decoder, vision tower, projector, vocabulary head."""

from torch import Tensor, nn

from veridical.errors import ModelError
from veridical.models.architectures.table import architecture_of
from veridical.models.loading import Model, unwrap


def language_model(model: Model) -> nn.Module:
    """The decoder inside the model."""
    found = unwrap(model).get_decoder()
    assert isinstance(found, nn.Module)  # noqa: S101 - narrows an untyped attribute
    return found


def vision_tower(model: Model) -> nn.Module:
    """The image encoder inside the model, with the projector where that lies inside the tower.

    Raises:
        ModelError: The model does not say which of its modules that is.
    """
    inner = unwrap(model)
    found = inner.get_encoder(modality="image")
    if found is inner or not isinstance(found, nn.Module):
        raise ModelError(f"No vision tower found in `{inner.config.model_type}`.")
    return found


def projector_parameters(model: Model) -> set[int]:
    """`id`s of the weights that turn image features into the decoder's width.

    These are the modules that the architecture's row names, wherever they lie, and whatever belongs
    to neither tower nor decoder nor vocabulary head.
    """
    inner = unwrap(model)
    names = architecture_of(inner.config).projector
    named = {
        id(parameter)
        for name, parameter in inner.base_model.named_parameters()
        if any(name == known or name.startswith(f"{known}.") for known in names)
    }
    others = {id(parameter) for parameter in vision_tower(inner).parameters()}
    others |= language_parameters(inner)
    return named | {id(parameter) for parameter in inner.parameters()} - others


def language_parameters(model: Model) -> set[int]:
    """`id`s of the weights of decoder and vocabulary head."""
    inner = unwrap(model)
    head = inner.get_output_embeddings()
    return {
        id(parameter) for part in (language_model(inner), head) for parameter in part.parameters()
    }


def project_to_vocabulary(model: Model, hidden: Tensor) -> Tensor:
    """Turn last hidden states (… D) into logits (… V), in float32.

    For families with `branches` this is all that the model's own forward does; others may scale or
    cap their logits.
    """
    inner = unwrap(model)
    logits: Tensor = inner.get_output_embeddings()(hidden).float()
    return logits
