"""Phase 4: the HRM learns from the rewards of its own decisions, by policy gradient with a learned baseline.

The policy is the HRM's answer, sharpened by a temperature because the HRM imitates flat probabilities:

    pi(a|s) = softmax(logits(s) / T)_a                 T fixed

An update takes decisions that were drawn from the policy, with the probabilities of the draw, and passes over them a
few times. Over the decisions whose reward is known, it minimises

    L =  - mean w min(r A, clip(r, 1 - e, 1 + e) A)    r = pi(a|s) / pi_before(a|s), w = pi_before(a|s) / pi_drawn(a|s)
         - entropy * mean H(pi(.|s))
         + beta_n  * mean KL(pi(.|s) || pi_0(.|s))

With one pass, the default, r is 1 at the gradient, nothing is clipped, and this is REINFORCE (Williams 1992). With
more, the clipped ratio bounds the later passes. It and the entropy bonus are PPO's: Schulman et al. 2017
(arXiv:1707.06347), equations 7 and 9.
pi_before is the policy before the update. Decisions that another version drew have the weight w, at most 2 (the
decoupled objective of Hilton et al. 2022, arXiv:2110.00641, section 3). If the ratio were clipped around pi_drawn,
older decisions would teach nothing as soon as the policy has moved by e. The KL penalty towards the imitation policy
pi_0 follows Ziegler et al. 2019 (arXiv:1909.08593), equation 2. It is in the loss, and exact because there are few
actions. It loosens as evidence grows: beta_n = kl * half / (half + n), where n decisions were learned from.

The advantages A are generalised advantage estimates (Schulman et al. 2016, arXiv:1506.02438, equation 16). They use a
separate value head V(s) on the high level's state at position 0:

    d_t = r_t + gamma V(s_t+1) - V(s_t)                A_t = d_t + gamma lambda A_t+1

A decision whose reward is not known counts as bringing what was expected, d_t = 0. It teaches nothing itself, but
passes later advantages on, discounted. After the last decision of an episode, or the last known one, V(s_t) replaces
V(s_t+1); where the environment ended the episode (`Transition.ends`), 0 replaces it. The head minimises
(V(s_t) - (A_t + V_before(s_t)))^2 / 2 and passes no gradient on. Advantages are divided by the root of a running mean
of their squares, not of the batch's: the scale of ten is noise, and ten bad decisions must stay bad. An error d_t
counts as ten times that scale at most (`reinforcement.outlier`), or one absurd reward would decide for 200 updates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from aegis.config import LARGEST_REWARD, ReinforceConfig, TrainingConfig
from aegis.errors import CheckpointError, DataError
from aegis.hrm import HRM, Batch, Outputs, StateCodec, has_bf16, pad
from aegis.training.optimizer import HRMOptimizer, ParameterGroup
from aegis.training.reinforcement.advantage import Transition, estimate_errors, expected_value, scatter, sum_errors
from aegis.training.reinforcement.outlier import Outlier, bound_errors, within_range, without_outliers
from aegis.training.reinforcement.snapshot import Snapshot
from aegis.training.reinforcement.value import ValueHead

_SQUARES_DECAY = 0.95
_LEAST_SCALE = 0.1
"""Least scale that advantages are divided by, in units of reward"""
_SHORTENINGS = 8
_LARGEST_WEIGHT = 2.0
_NOT_OFFERED = -1e9
"""The logit of an action that was not on offer; finite, so that its share of an entropy is 0"""


@dataclass(frozen=True, slots=True)
class UpdateResult:
    """The result of an update."""

    decisions: int
    """Number of new decisions that the update learned from"""
    loss: float
    """Loss of the first pass"""
    entropy: float
    """Mean entropy of the policy before the update, in nats"""
    kl: float
    """KL divergence from the policy before the update to the policy after it, in nats"""
    kl_imitation: float
    """KL divergence from the policy before the update to the imitation policy, in nats"""
    value_loss: float
    mean_reward: float
    passes: int
    fault: str
    """Why the update was undone; '' if it was kept"""
    stretches: int = 0
    reward_error: float | None = None
    """Standard error of the mean reward, by stretches of episodes; None where one is all there is"""
    outliers: tuple[Outlier, ...] = ()
    """Decisions whose rewards lie so far from the others that they counted as less"""


class ReinforceTrainer:
    """Updates an HRM by its own decisions. An update that fails a check is undone.

    model: changed in place. imitation: the HRM of phase 2, which does not change. temperature: the temperature of the
    policy that drew the decisions. outputs: the outputs of its actions. seed: draws the value head's first weights.
    """

    def __init__(
        self,
        model: HRM,
        imitation: HRM,
        codec: StateCodec,
        outputs: Outputs,
        temperature: float,
        config: ReinforceConfig | None = None,
        seed: int = 0,
    ) -> None:
        self.config = config or ReinforceConfig()
        self.model = model.eval()
        self.temperature = temperature
        self.learned = 0
        """Number of decisions learned from, with which the KL penalty loosens"""
        self.updates = 0
        self._imitated: dict[tuple[int, ...], Tensor] = {}
        self._imitation = imitation.eval().requires_grad_(False)
        self._codec = codec
        self._device = model.high_start.device
        self._bf16 = self.config.bf16 and has_bf16(self._device)
        self._outputs = outputs.to(self._device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.value = ValueHead(model.config.high_width).to(self._device)
        self._squares = torch.zeros(2, dtype=torch.float64)  # running mean of the advantages' squares, its weight
        self._renew_optimizers()

    def update(
        self,
        trajectories: Sequence[Sequence[Transition]],
        check: Callable[[], str] = lambda: "",
        new: int | None = None,
    ) -> UpdateResult:
        """Learn from decisions in their order; each trajectory is a stretch of one episode.

        check: returns what is wrong with the updated model, '' if nothing is. new: how many of the decisions are new to
        the trainer; None: all.
        Raises `DataError` if a reward is not a finite number, or no decision has a reward to learn from.
        """
        transitions = [one for trajectory in trajectories for one in trajectory]
        rows = [row for row, one in enumerate(transitions) if one.learn and one.reward is not None]
        _check(transitions, len(rows))
        trajectories = within_range(trajectories, -LARGEST_REWARD, LARGEST_REWARD)
        chosen = torch.tensor(rows, device=self._device)
        encoded = [self._codec.encode(one.state) for one in transitions]
        batch = pad(encoded, self._device)
        logits, summaries, segments = self._think(self.model, batch)  # with gradient, for the first pass
        summaries = summaries.detach()
        with torch.no_grad():
            imitation = self._imitate([encoded[row] for row in rows])
            values, advantages, outliers = self._estimate(trajectories, summaries)
        drawn = torch.tensor([one.probabilities for one in transitions], device=self._device)
        offers = [one.offered or (True,) * drawn.shape[1] for one in transitions]
        offered = torch.tensor(offers, dtype=torch.bool, device=self._device)[chosen]
        update = _UpdateBatch(
            batch=_select(batch, chosen),
            segments=segments[chosen],
            actions=torch.tensor([transitions[row].action for row in rows], device=self._device),
            drawn=drawn[chosen].clamp_min(1e-6).log(),
            first=logits[chosen],
            before=self._log_policy(logits[chosen].detach(), offered),
            imitation=self._log_policy(imitation, offered),
            offered=offered,
            advantages=self._scale(advantages[chosen]),
        )
        value_loss = self._learn_values(summaries[chosen], (advantages + values)[chosen])
        rewards = [
            one.reward for trajectory in trajectories for one in trajectory if one.learn and one.reward is not None
        ]
        result = self._learn(update, rewards, value_loss, check, len(rows) if new is None else new)
        stretches, error = scatter(trajectories)
        return replace(result, stretches=stretches, reward_error=error, outliers=tuple(outliers))

    def _estimate(
        self, trajectories: Sequence[Sequence[Transition]], summaries: Tensor
    ) -> tuple[Tensor, Tensor, list[Outlier]]:
        """Return the values and the advantages, both (B,), and which decisions' rewards were bounded."""
        config = self.config
        if not self.updates:  # from 0, all rewards would look like merit
            usual = without_outliers(trajectories, _LEAST_SCALE)
            self.value.output.bias.fill_(expected_value(usual, config.discount))
        values = self.value(summaries)
        errors = estimate_errors(trajectories, values, config.discount)
        transitions = [one for trajectory in trajectories for one in trajectory]
        bounded, outliers = bound_errors(transitions, errors, max(self._present_scale(), _LEAST_SCALE))
        advantages = sum_errors(trajectories, bounded, config.discount * config.trace_decay)
        return values, advantages.to(self._device), outliers

    def _learn(
        self,
        update: _UpdateBatch,
        rewards: Sequence[float],
        value_loss: float,
        check: Callable[[], str],
        new: int,
    ) -> UpdateResult:
        """Pass over a batch until the KL bound is near; undo the update if a number is not finite or a check fails."""
        snapshot = Snapshot(self.model, update.batch.tokens, self._outputs)
        first, kl, passes, fault = float("nan"), 0.0, 0, ""
        for _ in range(self.config.passes):
            logits = self._think(self.model, update.batch, update.segments)[0] if passes else update.first
            policy = self._log_policy(logits, update.offered)
            if passes and divergence(update.before, policy.detach()) > self.config.kl_bound / 2:
                break
            loss = self._loss(policy, update)
            first = loss.item() if not passes else first
            if not bool(torch.isfinite(loss)):
                fault = f"its loss is {loss.item()}"
                break
            loss.backward()
            self._optimizer.step(self.config.learning_rate)
            passes += 1
        if not fault:
            kl, fault = self._draw_back(update, snapshot)
            fault = fault or check()
        if fault:
            self._optimizer.forget()
            snapshot.put_back()
            self._renew_optimizers()
        else:
            self.learned += new
        self.updates += 1
        return UpdateResult(
            decisions=new,
            loss=first,
            entropy=float(-(update.before.exp() * update.before).sum(-1).mean()),
            kl=kl,
            kl_imitation=divergence(update.before, update.imitation),
            value_loss=value_loss,
            mean_reward=sum(rewards) / len(rewards),
            passes=passes,
            fault=fault,
        )

    def _draw_back(self, update: _UpdateBatch, snapshot: Snapshot) -> tuple[float, str]:
        """Shorten the step until it is within the KL bound; return the KL, and the fault ('' if there is none).

        A line search as in TRPO (Schulman et al. 2015, arXiv:1502.05477, appendix C); the KL is about quadratic.
        """
        bound = self.config.kl_bound
        for _ in range(_SHORTENINGS):
            if not snapshot.is_finite():
                return 0.0, "its weights are not finite"
            with torch.no_grad():
                logits, _, _ = self._think(self.model, update.batch, update.segments)
            kl = divergence(update.before, self._log_policy(logits, update.offered))
            if kl <= bound:
                return kl, ""
            snapshot.put_back(share=1 - min(0.5, 0.8 * (bound / kl) ** 0.5))
        return kl, f"its policy moved by {kl:.4f} nats, more than the bound of {bound:g}"

    def _loss(self, policy: Tensor, update: _UpdateBatch) -> Tensor:
        config = self.config
        rows = torch.arange(len(policy), device=policy.device)
        log_policy, log_before = policy[rows, update.actions], update.before[rows, update.actions]
        ratio = (log_policy - log_before).exp()
        clipped = ratio.clamp(1 - config.clip, 1 + config.clip)
        weight = (log_before - update.drawn[rows, update.actions]).exp().clamp(max=_LARGEST_WEIGHT)
        gain = (weight * torch.minimum(ratio * update.advantages, clipped * update.advantages)).mean()
        entropy = -(policy.exp() * policy).sum(-1).mean()
        kl_penalty = (policy.exp() * (policy - update.imitation)).sum(-1).mean()
        beta = config.kl * config.kl_half_decisions / (config.kl_half_decisions + self.learned)
        loss: Tensor = -gain - config.entropy * entropy + beta * kl_penalty
        return loss

    def _learn_values(self, summaries: Tensor, targets: Tensor) -> float:
        first = float("nan")
        for number in range(self.config.passes):
            loss = 0.5 * (self.value(summaries) - targets).square().mean()
            first = first if number else loss.item()
            loss.backward()
            self._value_group.collect()
            self._value_group.step(self.config.value_rate)
        return first

    def _think(self, model: HRM, batch: Batch, segments: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            return think(model, batch, self._outputs, segments)

    def _imitate(self, encoded: Sequence[Sequence[int]]) -> Tensor:
        """Return the imitation HRM's logits (B, A); it never changes, so those of the last update are kept."""
        states = [tuple(one) for one in encoded]
        if new := [one for one in dict.fromkeys(states) if one not in self._imitated]:
            self._imitated |= dict(zip(new, self._think(self._imitation, pad(new, self._device))[0], strict=True))
        self._imitated = {one: self._imitated[one] for one in states}
        return torch.stack([self._imitated[one] for one in states])

    def _log_policy(self, logits: Tensor, offered: Tensor) -> Tensor:
        return (logits / self.temperature).masked_fill(~offered, _NOT_OFFERED).log_softmax(-1)

    def _scale(self, advantages: Tensor) -> Tensor:
        self._squares *= _SQUARES_DECAY
        self._squares += (1 - _SQUARES_DECAY) * torch.tensor([float(advantages.square().mean()), 1.0])
        return advantages / max(self._present_scale(), _LEAST_SCALE)

    def _present_scale(self) -> float:
        """Return the root of the running mean of the advantages' squares; 0 before the first update."""
        return float(self._squares[0] / self._squares[1]) ** 0.5 if self._squares[1] else 0.0

    def _renew_optimizers(self) -> None:
        config = self.config
        training = TrainingConfig(weight_decay=0.0, embedding_rate_factor=config.embedding_rate_factor)
        self._optimizer = HRMOptimizer(self.model, training)
        self._value_group = ParameterGroup(self.value.parameters(), 0.0, bf16=False)

    def tensors(self) -> dict[str, Tensor]:
        """Return everything that resuming needs besides the model's weights."""
        return {
            **{f"policy.{name}": tensor for name, tensor in self._optimizer.tensors().items()},
            **{f"value.{name}": tensor.detach() for name, tensor in self.value.state_dict().items()},
            **{f"value_moments.{name}": tensor for name, tensor in self._value_group.state.items()},
            "squares": self._squares,
            "counts": torch.tensor([self.learned, self.updates]),
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Resume from the result of `tensors`; raises `CheckpointError` if it does not fit the model."""

        def part(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

        self._optimizer.load(part("policy."))
        try:
            for name, tensor in part("value.").items():
                self.value.get_parameter(name).data.copy_(tensor)
            for name, state in self._value_group.state.items():
                state.copy_(part("value_moments.")[name])
            self._squares.copy_(tensors["squares"])
            self.learned, self.updates = tensors["counts"].tolist()
        except (KeyError, RuntimeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"the learner's state does not fit ({error}): delete it to begin anew") from error


@dataclass(frozen=True, slots=True)
class _UpdateBatch:
    """The decisions that an update learns from; log-probabilities (B, A) unless said otherwise."""

    batch: Batch
    segments: Tensor
    """(B,): each state thinks as many segments as before the update; `actions` and `advantages` are (B,), too"""
    actions: Tensor
    drawn: Tensor
    first: Tensor
    """Logits before the update, with their gradient"""
    before: Tensor
    imitation: Tensor
    offered: Tensor
    """Whether each action was on offer"""
    advantages: Tensor


def think(model: HRM, batch: Batch, outputs: Outputs, segments: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Think as `HRM.think` does, with gradients through each state's last segment.

    segments: (B,), the number that each state thinks; None: the halting unit decides. Returns the logits (B, A), the
    summaries (B, D) and the segments used (B,).
    """
    threshold = torch.logit(torch.tensor(model.config.halt_threshold)).item()
    longest = model.config.max_segments if segments is None else int(segments.max())
    active, carry = torch.arange(len(batch.tokens), device=batch.tokens.device), None
    logits, summaries, order, used = [], [], [], []
    for segment in range(1, longest + 1):
        mask = None if batch.mask is None else batch.mask[active]
        out = model(batch.tokens[active], mask, outputs, carry, last=segment == longest)
        goes_on = out.halt_logits <= threshold if segments is None else segments[active] > segment
        goes_on &= segment < longest
        logits.append(out.logits[~goes_on])
        summaries.append(out.summary[~goes_on].float())
        order.append(active[~goes_on])
        used.append(torch.full_like(order[-1], segment))
        if out.finish is None or not goes_on.any():
            break
        active, carry = active[goes_on], out.finish(goes_on)
    back = torch.cat(order).argsort()
    return torch.cat(logits)[back], torch.cat(summaries)[back], torch.cat(used)[back]


def divergence(one: Tensor, other: Tensor) -> float:
    """Return the mean KL divergence KL(one || other) in nats; both are log-probabilities (B, A)."""
    return float((one.exp() * (one - other)).sum(-1).mean())


def _check(transitions: Sequence[Transition], learned: int) -> None:
    for place, one in enumerate(transitions):
        if one.reward is not None and not abs(one.reward) < float("inf"):
            raise DataError(f"decision {place} of the batch: its reward is {one.reward}: nothing is learned from it")
    if not learned:
        raise DataError("no decision with a known reward: there is nothing to learn from")


def _select(batch: Batch, rows: Tensor) -> Batch:
    return Batch(batch.tokens[rows], None if batch.mask is None else batch.mask[rows])
