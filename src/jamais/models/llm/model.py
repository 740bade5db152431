"""What is a language model to its user: train it, ask it, save it, and go on as if it had never stopped."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import torch

from jamais.errors import InputError, SettingsError, StateError
from jamais.learning.threads import cpu_threads
from jamais.models.llm import state
from jamais.models.llm.adam import Adam
from jamais.models.llm.network import LLMConfig, Network
from jamais.models.llm.training import Plan, Progress, generator_for, train
from jamais.models.llm.vocab import BOS, EOS, SPECIAL, Vocab
from jamais.persistence.faces.arrangement import Arrangement
from jamais.types import CancelToken, Listener, StateTree, silent


class LLM:
    """A causal language model over the words of a `Vocab`.

        llm = LLM(vocab, width=256, n_layers=2, n_heads=8)
        llm.train(texts, 50, 0.001)
        llm.predict("中国是")

    The vocabulary is copied, and with it fixed. `hidden=None` is twice the width. All chance (first weights,
    order, dropout) comes from `seed`; the same calls on one machine give the same bits, saved and
    loaded in between or not. `LLM()` is the small English model that RustGPT-Chinese starts with.
    Raise SettingsError for sizes that make no sense.
    """

    def __init__(
        self,
        vocab: Vocab | None = None,
        width: int = 256,
        n_layers: int = 2,
        n_heads: int = 8,
        *,
        hidden: int | None = None,
        max_length: int = 128,
        dropout: float = 0.1,
        seed: int = 0,
    ) -> None:
        vocab = Vocab.default() if vocab is None else Vocab.from_state(vocab.to_state())
        hidden = 2 * width if hidden is None else hidden
        config = LLMConfig(len(vocab), width, n_layers, n_heads, hidden, max_length, dropout)
        if not isinstance(seed, int) or not 0 <= seed < 2**63:
            raise SettingsError(f"seed must be a whole number from 0 to {2**63 - 1}, got {seed!r}")
        network = Network(config)
        network.initialise(generator_for(seed, "weights", 0))
        self._hold(vocab, network, Adam(network), Progress(), seed)

    def _hold(self, vocab: Vocab, network: Network, optimizer: Adam, progress: Progress, seed: int) -> None:
        self.vocab: Vocab = vocab
        self.network: Network = network
        self.seed: int = seed
        self._optimizer: Adam = optimizer
        self._progress: Progress = progress

    @property
    def config(self) -> LLMConfig:
        """The sizes of the network."""
        return self.network.config

    @property
    def n_parameters(self) -> int:
        """How many numbers are learned."""
        return sum(weight.numel() for weight in self.network.parameters())

    @property
    def epochs(self) -> int:
        """Epochs that are complete."""
        return self._progress.epochs

    @property
    def steps(self) -> int:
        """Updates of the weights."""
        return self._progress.steps

    @property
    def losses(self) -> list[float]:
        """Mean loss per token of every complete epoch, dropout on."""
        return list(self._progress.losses)

    def train(
        self,
        texts: Iterable[str],
        epochs: int,
        learning_rate: float,
        *,
        batch_size: int = 16,
        threads: int = 1,
        on_event: Listener = silent,
        cancel: CancelToken | None = None,
    ) -> list[float]:
        """Learn `texts` for `epochs` more epochs at a constant rate; return the mean loss of each.

        Optimizer, order and chance go on where the last call ended: 50 and 50 epochs are 100. A text
        longer than `max_length` is learned in pieces, nothing of it is left out. After Cancelled, Ctrl-C or SIGTERM the
        model stands between two steps: save it, and a call with the same texts first completes the epoch that was
        begun, which then counts as one of its `epochs`. (A second Ctrl-C does not wait for the step; a model that was
        left inside one says so and refuses to be saved.) `threads` are those of torch; another number moves the
        last bits, and more than idle processors wait for each other.

        Raise InputError without texts, SettingsError for a rate, epochs, batch size or threads that make no sense or
        when the loss is no longer finite (the weights are then those before that step), Cancelled when `cancel` is set.
        """
        plan = Plan(epochs, learning_rate, batch_size, threads)
        before = self.epochs
        rows = self._rows(texts)
        train(
            self.network,
            self._optimizer,
            self._progress,
            rows,
            plan,
            seed=self.seed,
            on_event=on_event,
            cancel=cancel,
        )
        return self.losses[before:]

    def predict(self, text: str, *, max_tokens: int = 64) -> str:
        """Return what most likely follows `text`: the likeliest token each time, until </s> or `max_tokens`.

        `text + predict(text)` reads on. The model looks at the last `max_length` tokens. Nothing is changed; the same
        text gives the same answer.
        """
        if not isinstance(text, str):
            raise InputError(f"predict wants a text, got {type(text).__name__}")
        self._must_be_whole()
        ids = [BOS, *self.vocab.encode(text)]
        begin = len(ids)
        with torch.no_grad(), cpu_threads(1):
            while len(ids) < begin + max_tokens:
                logits = self.network(torch.tensor([ids[-self.config.max_length :]]))[0, -1]
                # A text never holds a special token, except its end.
                logits[[token for token in range(len(SPECIAL)) if token != EOS]] = -torch.inf
                following = int(logits.argmax())
                if following == EOS:
                    break
                ids.append(following)
        return self.vocab.decode(ids[begin:], after=ids[begin - 1])

    def to_state(self) -> StateTree:
        """Copy everything that is needed to go on: weights, moments, counters, vocabulary."""
        self._must_be_whole()
        config = dataclasses.asdict(self.config)
        del config["n_tokens"]  # the vocabulary says it
        return {
            "config": config,
            "vocab": self.vocab.to_state(),
            "model": state.arrays_of(self.network),
            "optimizer": state.optimizer_state(self._optimizer),
            "rng": {"seed": self.seed},
            "trainer": dataclasses.asdict(self._progress),
        }

    @classmethod
    def from_state(cls, tree: StateTree) -> LLM:
        """Make a model again that goes on as the saved one would have; copy all, keep nothing of `tree`.

        Raise CorruptStateError naming the field that is missing, misshapen, not finite or foreign.
        """
        state.same_keys(tree, state.PARTS, "state")
        vocab = Vocab.from_state(state.part(tree, "vocab"))
        network = state.make_network(tree, len(vocab))
        llm = cls.__new__(cls)
        optimizer = state.restore_optimizer(network, tree)
        llm._hold(vocab, network, optimizer, state.restore_progress(tree), state.restore_seed(tree))
        return llm

    @classmethod
    def arrangement(cls, tree: StateTree) -> Arrangement:
        """Say how people see the state of a model: its words under `vocab`, its weights under `layers`."""
        return state.arrangement(tree)

    def _rows(self, texts: Iterable[str]) -> list[list[int]]:
        """Turn texts into rows of at most max_length + 1 ids; neighbours of one text share their border token."""
        if isinstance(texts, str):
            raise InputError("train wants a list of texts, got one str: put it in a list")
        self._must_be_whole()
        length = self.config.max_length
        rows = []
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise InputError(f"text {number} is {type(text).__name__}, wanted str")
            if text:
                ids = [BOS, *self.vocab.encode(text), EOS]
                rows += [ids[at : at + length + 1] for at in range(0, len(ids) - 1, length)]
        if not rows:
            raise InputError("there is nothing to train on: give at least one text that is not empty")
        return rows

    def _must_be_whole(self) -> None:
        if len(self.vocab) != self.config.n_tokens:
            raise StateError(
                f"the vocabulary has {len(self.vocab)} words, the network knows {self.config.n_tokens}: "
                f"add words before the model is made"
            )
        if self._optimizer.torn:
            raise StateError("training was broken off in the middle of an update: load the last save and go on from it")
