"""The loop of PPO: `transformers.Trainer` with rollouts as its source of batches.

What the trainer's data loader gives are tickets (rollout, pass, place); what a ticket stands for is
made just before the optimiser step that needs it, so that a rollout is sampled by the policy as it
is then, however far ahead the loader reads. Policy and value each run forward and backward by
themselves, so that activations of one role are held at a time and no gradient reaches another
role's adapter.
"""

import json
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler, SequentialSampler

from veridical.errors import StorageError
from veridical.files import atomic_path, read_bytes, write_json_atomically, write_text_atomically
from veridical.models.branches import BranchBatch
from veridical.objectives.kl import adapt_kl_coefficient
from veridical.progress import log
from veridical.seeding import child_random
from veridical.training.ppo.config import PpoRecipe
from veridical.training.ppo.held_out import CURVES_FILE
from veridical.training.ppo.losses import (
    RolloutBatch,
    loss_divisor,
    policy_losses,
    value_losses,
)
from veridical.training.ppo.prompts import PpoPrompt, rows_of_iteration
from veridical.training.ppo.roles import Roles
from veridical.training.ppo.rollout_tensors import Rollout, batch_of
from veridical.training.ppo.rollouts import RolloutCollector
from veridical.training.run.loop import Course, Measure, RunTrainer, TrainerInputs
from veridical.training.run.steps.trainer import as_empty_as, branches_of, is_empty
from veridical.training.run.team.work import here

_ROLLOUT = "rollout.safetensors"
_STATE = "ppo.json"


@final
class PpoTrainer(RunTrainer[int, RolloutBatch]):
    """The shared loop over tickets, whose batches are made of rollouts."""

    roles_apart = True

    def __init__(
        self,
        roles: Roles,
        collector: RolloutCollector,
        prompts: Sequence[PpoPrompt],
        course: Course,
        *,
        recipe: PpoRecipe,
        iterations: int,
        measure: Measure,
    ) -> None:
        """Set up `iterations` rollouts over `prompts`."""
        self.roles = roles
        self.recipe = recipe
        self.iterations = iterations
        self.kl_coefficient = recipe.kl.coefficient
        self._collector = collector
        self._prompts = prompts
        self._tickets = range(iterations * recipe.train.ppo_epochs * recipe.rollout.prompts)
        self._rollout: Rollout | None = None
        self._iteration = -1
        roles.attach_head()
        super().__init__(
            roles.vlm,
            self._tickets,
            course,
            collate=_collate_tickets,
            measure=measure,
        )

    # The source of batches.

    def _get_train_sampler(
        self,
        train_dataset: Dataset[int] | None = None,  # noqa: ARG002 (the trainer's signature)
    ) -> Sampler[int]:
        return SequentialSampler(self._tickets)

    def make_batches(self, loaded: list[TrainerInputs]) -> list[RolloutBatch]:
        """Make the batches that a step's tickets stand for; samples where a rollout begins."""
        return [
            as_empty_as(one, self._redeem([int(ticket) for ticket in one["tickets"]]))
            for one in loaded
        ]

    def batch_items(self, batch: RolloutBatch) -> int:
        """A batch's response tokens."""
        return max(int(batch["response_mask"].sum()), 1)

    def step_divisor(self, batches: Sequence[RolloutBatch]) -> float:
        """What the recipe averages losses over."""
        return sum(
            loss_divisor(batch["weights"], self.recipe) for batch in batches if not is_empty(batch)
        )

    def _redeem(self, tickets: Sequence[int]) -> RolloutBatch:
        size = self.recipe.rollout.prompts
        turn, _ = divmod(tickets[0], size)
        iteration, epoch = divmod(turn, self.recipe.train.ppo_epochs)
        rollout = self._rollout_of(iteration)
        order = list(range(size))
        child_random(self.settings.seed, "minibatches", iteration, epoch).shuffle(order)
        places = torch.tensor([order[ticket - turn * size] for ticket in tickets])
        encoded = [self._prompts[row].encoded for row in rollout.rows[places].tolist()]
        pad = self.vlm.tokenizer.pad_token_id
        return batch_of(rollout, places, encoded, self.recipe, pad_token_id=pad)

    def _rollout_of(self, iteration: int) -> Rollout:
        if self._rollout is not None and self._iteration == iteration:
            return self._rollout
        recipe, step = self.recipe, self.state.global_step + 1
        rows = rows_of_iteration(
            iteration,
            prompts=len(self._prompts),
            size=recipe.rollout.prompts,
            seed=self.settings.seed,
        )
        self._rollout, metrics = self._collector.collect(
            self._prompts, rows, stream=("rollout", iteration), kl_coefficient=self.kl_coefficient
        )
        self._iteration = iteration
        self.metrics_log.append(
            {"step": step, "part": "rollout", "iteration": iteration, **metrics}
        )
        log(
            f"rollout {iteration + 1} of {self.iterations}: reward {metrics['reward']:.4g}, KL"
            f" {metrics['kl_k1']:.3g}, length {metrics['length']:.1f}, finished"
            f" {metrics['finished']:.0%}"
        )
        if recipe.kl.target:
            self.kl_coefficient = adapt_kl_coefficient(
                self.kl_coefficient,
                observed=metrics["kl_k1"],
                target=recipe.kl.target,
                samples=recipe.rollout.prompts * recipe.rollout.samples,
                horizon=recipe.kl.horizon,
            )
        return self._rollout

    # A step.

    def learn(
        self,
        model: nn.Module,
        inputs: TrainerInputs,
        num_items_in_batch: Tensor | float | None = None,
    ) -> Tensor:
        """Forward and backward of the policy, then of the value where it has its own adapter."""
        batch = self.on_device(inputs)
        model.train(
            self.settings.gradient_checkpointing
        )  # dropout stays off: the ratio compares probabilities
        items = float(num_items_in_batch or 1)
        branches = branches_of(batch)
        roles, warming = self.roles, self._iteration < self.recipe.value.warmup_iterations
        with self.autocast():
            images = roles.images(branches.prompt, batch["image_keys"])
        shown: dict[str, Tensor] = {}

        def learn_policy() -> Tensor:
            with self.autocast(), torch.set_grad_enabled(not warming):
                read = roles.evaluate_policy(branches, images)
                loss, more = policy_losses(
                    read, batch, self.recipe, kl_coefficient=self.kl_coefficient
                )
            shown.update(more)
            if warming:
                loss = torch.zeros_like(loss)
            if roles.has_value and not roles.value_apart:
                detached = self.recipe.value.kind == "detached"
                states = read.states.detach() if detached else read.states
                losses, more = value_losses(roles.values(states), batch, self.recipe)
                loss = loss + losses
                shown.update(more)
            return loss

        def learn_value() -> Tensor:
            read_by_value = BranchBatch(batch["prompt"], batch["value_ids"], batch["value_mask"])
            with self.autocast():
                states = roles.value_states(read_by_value, images)
            losses, more = value_losses(roles.values(states), batch, self.recipe)
            shown.update(more)
            return losses

        share = 0.0 if is_empty(batch) else float(here().world)
        total = torch.zeros((), device=self.vlm.device)
        if not (warming and roles.value_apart):
            with roles.use_policy(), self.more_to_come(active=roles.value_apart):
                total += self._backward(self.inside(model, learn_policy) * share, items)
        if roles.value_apart:
            with roles.use_value():
                total += self._backward(self.inside(model, learn_value) * share, items)
        if not is_empty(batch):
            whole = total.detach() * (items / here().world)
            self.note(self.batch_items(batch), {"loss": whole, **shown})
        return total

    def _backward(self, losses: Tensor, items: float) -> Tensor:
        loss = losses.sum() / items
        self.backward(loss)
        return loss.detach()

    def create_optimizer(
        self,
        model: nn.Module | None = None,  # noqa: ARG002 (the trainer's signature)
    ) -> torch.optim.Optimizer:
        """AdamW over the policy's weights and the value's, each with its learning rate."""
        if self.optimizer is None:
            factory, options = self.get_optimizer_cls_and_kwargs(self.args, self.vlm.model)
            options["weight_decay"] = self.args.weight_decay
            policy = {"params": list(self.roles.policy_parameters().values())}
            value = {
                "params": list(self.roles.value_parameters().values()),
                "lr": self.recipe.value.learning_rate or self.args.learning_rate,
            }
            self.optimizer = factory([policy, value] if value["params"] else [policy], **options)
        optimizer: torch.optim.Optimizer = self.optimizer
        return optimizer

    # What a resume point holds next to the weights.

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:  # noqa: FBT001, FBT002
        """Write the trained weights, the rollout in use and the price of a nat."""
        super().save_model(output_dir, _internal_call)
        if output_dir is None or not here().is_first:
            return
        folder = Path(output_dir)
        write_json_atomically(
            folder / _STATE, {"iteration": self._iteration, "kl_coefficient": self.kl_coefficient}
        )
        if self._rollout is not None and self.state.global_step % self.recipe.steps_per_iteration:
            with atomic_path(folder / _ROLLOUT) as temporary:
                save_file(
                    {name: values.contiguous() for name, values in self._rollout._asdict().items()},
                    temporary,
                )

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        folder = Path(resume_from_checkpoint)
        state = json.loads(read_bytes(folder / _STATE))
        self._iteration, self.kl_coefficient = (
            int(state["iteration"]),
            float(state["kl_coefficient"]),
        )
        self._rollout = None
        if (folder / _ROLLOUT).is_file():
            try:
                self._rollout = Rollout(**load_file(folder / _ROLLOUT))
            except (SafetensorError, TypeError) as error:
                raise StorageError(
                    f"Cannot read `{folder / _ROLLOUT}`: {error}. Remove the run directory and"
                    " start again."
                ) from error

    def evaluate(self, *_: object, **__: object) -> dict[str, float]:
        """Measure the model as it is, and rewrite the curve."""
        metrics = super().evaluate()
        points = [{"step": 0, **(self.progress.base or {})}]
        points += [
            {"step": candidate.step, **candidate.metrics} for candidate in self.progress.candidates
        ]
        lines = [
            json.dumps({n: v if isfinite(v) else None for n, v in point.items()})
            for point in points
            if len(point) > 1
        ]
        if lines and here().is_first:
            write_text_atomically(self.run_dir / CURVES_FILE, "\n".join(lines) + "\n")
        return metrics


def _collate_tickets(rows: Sequence[int]) -> dict[str, Tensor]:
    return {"tickets": torch.tensor(rows)}
