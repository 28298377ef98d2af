"""The model card: what the demo's model was trained on, how well it ranks, and next to what.

Source: the idea: Mitchell et al., "Model Cards for Model Reporting" (2019).
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from model.training.history import DAY_S, Bools, Floats, History, Ints
from model.training.metrics import average_precision, best_precision_top_k, precision_top_k, roc_auc
from model.training.simulate import SimulationConfig
from model.training.train import DEPTH, TREES, Split

ALERTS_PER_DAY: Final = 100


@dataclass(frozen=True, slots=True)
class Ranking:
    """How well scores rank the payments of the test.

    Attributes:
        roc_auc: See `metrics.roc_auc`.
        average_precision: See `metrics.average_precision`.
        precision_top_100: See `metrics.precision_top_k`, for 100 alerts a day.
    """

    roc_auc: float
    average_precision: float
    precision_top_100: float

    @classmethod
    def of(cls, fraud: Bools, scores: Floats, day: Ints) -> "Ranking":
        """The measures of `scores`; each argument of shape `(n,)`."""
        return cls(
            roc_auc(fraud, scores),
            average_precision(fraud, scores),
            precision_top_k(fraud, scores, day, ALERTS_PER_DAY),
        )


@dataclass(frozen=True, slots=True)
class ModelCard:
    """The facts of one build.

    Attributes:
        config: What was simulated, with its seed.
        split: Which days trained and which tested.
        transactions: Payments made in the whole history.
        declined: Payments refused for the credit limit.
        fraud_rate: Share of frauds among the payments made.
        train_rows: Payments trained on.
        train_fraud_rate: Share of frauds among them.
        test_rows: Payments tested on.
        test_fraud_rate: Share of frauds among them.
        model: The model's ranking of the test.
        baseline: The ranking by amount alone.
        best_top_100: The precision in the top 100 a day of a perfect ranking; less than 1 where days have fewer frauds.
        importances: The ten most important features and their importances in percent, the highest first.
        model_seed: CatBoost's random seed.
        sha256: Digest of the model's file, in hex.
    """

    config: SimulationConfig
    split: Split
    transactions: int
    declined: int
    fraud_rate: float
    train_rows: int
    train_fraud_rate: float
    test_rows: int
    test_fraud_rate: float
    model: Ranking
    baseline: Ranking
    best_top_100: float
    importances: tuple[tuple[str, float], ...]
    model_seed: int
    sha256: str

    def text(self) -> str:
        """The card in Markdown."""
        config, split = self.config, self.split
        ranks = "\n".join(f"| {name} | {share:.1f} % |" for name, share in self.importances)
        return f"""\
# Model card: card fraud (demo)

A CatBoost classifier of {TREES} trees of depth {DEPTH} that tells fraudulent card payments from genuine ones.
Its data is simulated: it shows how a service works, not how people pay. Not for use on real payments.

## Data

{config.customers:,} customers and {config.merchants:,} merchants over {config.days} days.
Seeds: simulation {config.seed}, model {self.model_seed}.

| | days (UTC) | payments | fraud |
|---|---|---|---|
| whole history | {self._dates(0, config.days)} | {self.transactions:,} | {self.fraud_rate:.2%} |
| warm-up of the windows, dropped | {self._dates(0, split.train_from)} | | |
| training | {self._dates(split.train_from, split.train_until)} | {self.train_rows:,} | {self.train_fraud_rate:.2%} |
| waiting for labels, dropped | {self._dates(split.train_until, split.test_from)} | | |
| test | {self._dates(split.test_from, split.test_until)} | {self.test_rows:,} | {self.test_fraud_rate:.2%} |

Beyond these, {self.declined:,} payments were declined for the credit limit.

## Quality on the test

| | model | amount alone | best possible |
|---|---|---|---|
| ROC AUC | {self.model.roc_auc:.3f} | {self.baseline.roc_auc:.3f} | 1 |
| average precision | {self.model.average_precision:.3f} | {self.baseline.average_precision:.3f} | 1 |
| precision in the top {ALERTS_PER_DAY} a day | {self.model.precision_top_100:.3f} | \
{self.baseline.precision_top_100:.3f} | {self.best_top_100:.3f} |

![Precision against recall](model_card.svg)

What the model cannot know: labels arrive a week late, so the first week of a compromised merchant looks like any
other week.

## What it looks at most

| feature | importance |
|---|---|
{ranks}

Model file: sha256 `{self.sha256}`
"""

    def _dates(self, first_day: int, end_day: int) -> str:
        """The days from `first_day` up to but not including `end_day`, as dates."""
        start_s = self.config.end_s - self.config.days * DAY_S
        first, last = (datetime.fromtimestamp(start_s + day * DAY_S, UTC).date() for day in (first_day, end_day - 1))
        return f"{first} to {last}"


def write_card(
    config: SimulationConfig,
    history: History,
    split: Split,
    scores: Floats,
    *,
    importances: list[tuple[str, float]],
    model_seed: int,
    sha256: str,
) -> ModelCard:
    """The card of a build.

    Args:
        config: What was simulated.
        history: What came of it.
        split: Which days trained and which tested.
        scores: Probability of fraud of each payment of the test; shape `(n_test,)`.
        importances: Features and importances, the highest first.
        model_seed: CatBoost's random seed.
        sha256: Digest of the model's file.
    """
    everything = history.transactions
    test = everything.take(split.test(everything))
    trained = everything.take(split.training(everything))
    day = test.time_ms // (DAY_S * 1000)
    return ModelCard(
        config=config,
        split=split,
        transactions=len(everything),
        declined=history.declined,
        fraud_rate=float(everything.fraud.mean()),
        train_rows=len(trained),
        train_fraud_rate=float(trained.fraud.mean()),
        test_rows=len(test),
        test_fraud_rate=float(test.fraud.mean()),
        model=Ranking.of(test.fraud, scores, day),
        baseline=Ranking.of(test.fraud, test.amount, day),
        best_top_100=best_precision_top_k(test.fraud, day, ALERTS_PER_DAY),
        importances=tuple(importances[:10]),
        model_seed=model_seed,
        sha256=sha256,
    )
