"""Decoder layers through torch.compile; the compiler itself is left out, capturing is not."""

import torch

from miniatures import picture
from veridical.models.branches import BranchBatch, score_branches, stack_responses
from veridical.models.kernels.compiled_layers import compile_layers, restore_layers
from veridical.models.lora import LoraRecipe, add_lora
from veridical.models.prompts.encoding import encode_prompts


def test_one_capture_serves_all_layers_and_lengths(own_llava):
    vlm = add_lora(own_llava, LoraRecipe(rank=2, target_modules=("q_proj",)))
    learning = [p for p in vlm.model.parameters() if p.requires_grad]
    with torch.no_grad():
        for parameter in learning:
            parameter.add_(0.1)
    questions = ["Is there a knife?", "Describe the image in detail."]
    batches = [
        BranchBatch(encode_prompts(vlm, [q], [picture(0)]), *stack_responses([[[7] * n, [8, 9]]]))
        for n, q in enumerate(questions, start=3)
    ]

    def gradients():
        found = []
        for batch in batches:
            scores = score_branches(vlm.model, batch)
            found += [scores.detach(), *torch.autograd.grad(scores.sum(), learning)]
        return found

    own = gradients()
    captured = []
    torch._dynamo.reset()
    compile_layers(vlm.model, backend=lambda graph, inputs: captured.append(graph) or graph)
    for mine, compiled in zip(own, gradients(), strict=True):
        torch.testing.assert_close(compiled, mine, rtol=1e-5, atol=1e-6)
    assert len(captured) == 1
    restore_layers(vlm.model)
    assert gradients()
    assert len(captured) == 1
