"""All rivals by name, each with what its search tries on the development part."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from aegis.experiments.scan import model as scan
from aegis.workspace import HRM, MIXED
from benchmarks.decisions.rivals import bag, reader, sentences, simple, tracer, trained
from benchmarks.decisions.rivals.rival import Rival
from benchmarks.decisions.rivals.trained import AUTO

_PENALTIES = ({"penalty": 1.0}, {"penalty": 10.0}, {"penalty": 100.0}, {"penalty": 1000.0})
_RATES = ({"learning_rate": 3e-4}, {"learning_rate": 1e-4})

RIVALS: Mapping[str, Rival] = {
    "commonest": Rival("the commonest action", partial(simple.learn_scanned, scan.commonest_action)),
    "table": Rival("a table of at most three fields", partial(simple.learn_scanned, scan.field_table)),
    "fields-words": Rival(
        "logistic regression on fields and words",
        simple.learn_words_and_fields,
        (
            {"penalty": 0.1},
            {"penalty": 1.0},
            {"penalty": 10.0},
            {"penalty": 10.0, "counted": "tf-idf"},
            {"penalty": 100.0, "counted": "tf-idf"},
        ),
    ),
    "pairs": Rival(
        "regression on words and pairs",
        simple.learn_pairs,
        (
            {"penalty": 10.0},
            {"penalty": 100.0},
            {"penalty": 1.0, "form": "ridge"},
            {"penalty": 10.0, "form": "ridge"},
        ),
    ),
    "boosting": Rival(
        "boosted trees on fields",
        simple.learn_boosting,
        ({"learning_rate": 0.1, "leaves": 31}, {"learning_rate": 0.05, "leaves": 8}),
    ),
    "forest": Rival(
        "a forest on fields",
        simple.learn_forest,
        (
            {"leaf": 1, "features": "sqrt", "extra": False},
            {"leaf": 2, "features": 0.3},
            {"leaf": 5, "features": 0.3},
        ),
    ),
    "n-grams": Rival("hashed n-grams, as fastText", bag.learn_bag, ({"learning_rate": 0.01}, {"learning_rate": 0.03})),
    "minilm": Rival("MiniLM, logistic regression", sentences.learn_sentences, _PENALTIES),
    "tracer": Rival(
        "TRACER on MiniLM", tracer.learn_tracer, ({"agreement": 0.95}, {"agreement": 0.8}, {"agreement": 0.5})
    ),
    "mean": Rival("the HRM's embeddings, mean and linear", partial(reader.learn_reader, layers=0), _RATES),
    "transformer": Rival(
        "a plain transformer of equal parameters", partial(reader.learn_reader, layers=reader.LAYERS), _RATES
    ),
    "hrm-one-segment": Rival("the HRM, one segment", partial(trained.learn_hrm, segments=1)),
    "hrm-text": Rival("the HRM, numbers as text", partial(trained.learn_hrm, numbers="text")),
    "hrm-searched": Rival("the HRM, its learning rate searched", trained.learn_hrm, _RATES),
    HRM: Rival("the HRM, four segments", trained.learn_hrm),
    MIXED: Rival("`--student mixed`: the HRM and the regression", partial(trained.learn_student, student=MIXED)),
    AUTO: Rival("`--student auto`: the HRM, the regression, or both", partial(trained.learn_student, student=AUTO)),
}
_TRAINED = frozenset({"mean", "transformer", "hrm-one-segment", "hrm-text", "hrm-searched", HRM, MIXED, AUTO})
SIMPLE = tuple(name for name in RIVALS if name not in _TRAINED)
"""Those that learn in seconds"""
