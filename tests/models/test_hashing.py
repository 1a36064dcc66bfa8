import torch

from veridical.models import hashing
from veridical.models.hashing import model_hash, tensor_hash
from veridical.models.loading import load_model
from veridical.models.lora import LoraRecipe, add_lora


def test_equal_weights_hash_alike_and_one_changed_bit_does_not(own_llava, tiny_llava_path):
    before = model_hash(own_llava.model)
    assert model_hash(load_model(tiny_llava_path, device="cpu").model) == before
    weight = own_llava.model.lm_head.weight
    with torch.no_grad():
        weight[0, 0] = torch.nextafter(weight[0, 0], torch.tensor(9.0))
    assert model_hash(own_llava.model) != before


def test_freezing_changes_no_hash(own_llava):
    before = model_hash(own_llava.model)
    own_llava.model.requires_grad_(False)
    assert model_hash(own_llava.model) == before


def test_without_adapters_the_hash_is_the_bases(own_llava):
    before = model_hash(own_llava.model)
    worn = add_lora(own_llava, LoraRecipe(rank=2))
    assert model_hash(worn.model, adapters=False) == before
    whole = model_hash(worn.model)
    assert whole != before
    with torch.no_grad():
        next(p for name, p in worn.model.named_parameters() if "lora_B" in name).add_(1)
    assert model_hash(worn.model) != whole
    assert model_hash(worn.model, adapters=False) == before


def test_tensors_differ_by_bytes_dtype_and_shape():
    ones = torch.ones(2, 3)
    others = [ones * 2, ones.half(), ones.reshape(3, 2), torch.ones(0)]
    assert tensor_hash(ones) == tensor_hash(torch.ones(3, 2).T)
    assert len({tensor_hash(ones), *map(tensor_hash, others)}) == 5
    assert tensor_hash(ones.bfloat16())


def test_every_weight_counts_and_so_does_its_place():
    """More than one row of 8,192 bytes, and one that is not full."""
    torch.manual_seed(0)
    weights = torch.randn(300, 71)
    layer = torch.nn.Linear(71, 300, bias=False)

    def fingerprint(values):
        layer.weight.data = values
        return model_hash(layer)

    before = fingerprint(weights)
    assert fingerprint(weights.clone()) == before
    assert fingerprint(weights.T.contiguous().T) == before
    seen = {before}
    for row, column in [(0, 0), (28, 60), (299, 70)]:
        flipped = weights.clone()
        flipped[row, column] *= -1  # the highest bit of one byte
        seen.add(fingerprint(flipped))
    rows = weights.clone()
    rows[[0, 299]] = rows[[299, 0]]
    pair = weights.clone()
    pair[0, :2] *= -1
    swapped = weights.roll(2048)  # whole rows of 8,192 bytes change places
    seen |= {
        fingerprint(x) for x in (rows, pair, swapped, weights.half(), weights.reshape(71, 300))
    }
    assert len(seen) == 9


def test_a_fingerprint_is_the_definition():
    """Sums of products with the table, worked without a product of matrices."""
    values = torch.arange(-60, 60, dtype=torch.int8)
    table = hashing._table(torch.device("cpu")).long()
    row = torch.zeros(8192, dtype=torch.long)
    row[:120] = values
    sums = (row.unsqueeze(1) * table).sum(0).to(torch.int32)
    expected = hashing._scrambled(sums.unsqueeze(0))
    assert torch.equal(hashing._sums(values), expected)
    assert bool((table != 0).all())
