import unittest
from dataclasses import dataclass, field
from typing import Literal

from perennial_reward import Abstained, ConfigError, ContractError, Part, Scored, Task, reward

QUESTION = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2?"}]


def task(*completions, **columns):
    return Task(QUESTION, list(completions), **columns)


class FunctionsInTheFormOfTrl(unittest.TestCase):
    def test_columns_arrive_as_lists_with_an_entry_for_each_completion(self):
        seen = {}

        @reward()
        def plain(prompts, completions, **columns):
            """Looks at what it gets."""
            seen.update(columns, prompts=prompts, completions=completions)
            return [1.0] * len(completions)

        row = {"reference": "4", "labels": {"hard": "no"}, "metadata": {"line": 3, "hard": "yes", "prompts": "x"}}
        self.assertEqual(plain.score(task("4", "5", **row)), [Scored(1.0)] * 2)
        prompts = ["Be brief.\n\n2 + 2?"] * 2
        columns = {"reference": ["4", "4"], "hard": ["no", "no"], "line": [3, 3]}
        self.assertEqual(seen, {**columns, "prompts": prompts, "completions": ["4", "5"]})
        self.assertEqual(plain.declaration.help, "Looks at what it gets.")

    def test_conversations_come_as_trl_passes_them(self):
        @reward(conversational=True)
        def chat(prompts, completions, **columns):
            assert prompts == [QUESTION, QUESTION]
            return [float(completion[0]["content"] == "4") for completion in completions]

        self.assertEqual(chat.score(task("4", "5")), [Scored(1.0), Scored(0.0)])

    def test_a_function_gets_only_what_it_has_parameters_for(self):
        @reward(columns={"solution": "reference"})
        def accuracy(completions, solution):
            return [float(text == wanted) for text, wanted in zip(completions, solution)]

        self.assertEqual(accuracy.score(task("4", reference="4", labels={"other": "x"})), [Scored(1.0)])
        self.assertEqual(accuracy.score(task("4")), [Abstained("the row has no reference")])
        self.assertEqual(accuracy(completions=["a"], solution=["a"]), [1.0])
        self.assertEqual(accuracy.__name__, "accuracy")

    def test_defaults_stand_in_for_what_a_row_lacks(self):
        @reward()
        def lenient(completions, reference=None, **columns):
            return [None if reference is None else 1.0 for _ in completions]

        self.assertEqual(lenient.score(task("x")), [Abstained("the function returned None")])

    def test_what_only_a_trainer_has_cannot_be_asked_for(self):
        with self.assertRaisesRegex(TypeError, "completion_ids"):
            reward(name="t")(lambda completions, completion_ids: [])

        async def later(completions):
            return []

        with self.assertRaisesRegex(TypeError, "async"):
            reward(name="t")(later)


class Results(unittest.TestCase):
    def returned(self, *results, **options):
        plugin = reward(name="t", parts=[Part("valid")], **options)(lambda completions: results)
        return plugin.score(task(*["x"] * max(1, len(results))))

    def test_numbers_none_dicts_and_verdicts(self):
        half = {"reward": 0.5, "parts": {"valid": True}, "reason": "half"}
        given = self.returned(1, True, None, half, {"reward": None, "reason": "why"}, Scored(0.25), Abstained("no"))
        numbers = [Scored(1.0), Scored(1.0), Abstained("the function returned None")]
        dicts = [Scored(0.5, {"valid": 1.0}, "half"), Abstained("why")]
        self.assertEqual(given, [*numbers, *dicts, Scored(0.25), Abstained("no")])

    def test_long_reasons_are_cut_at_a_character(self):
        (verdict,) = self.returned({"reward": 1, "reason": "ä" * 600})
        self.assertEqual(len(verdict.reason.encode()), 511)
        self.assertTrue(verdict.reason.endswith("ä…"))

    def test_what_breaks_the_contract_is_refused_with_its_place(self):
        wrong = [
            ((), "0 results for 1"),
            ((float("nan"),), "result 0 is nan: return None"),
            ((0.5, 2.0), "result 1 is 2.0, outside the declared range 0.0 to 1.0: @reward.min=, max=. declares another"),
            (("1.0",), "result 0 is a str"),
            (({"rewards": 1},), "the keys"),
            (({"reward": 1, "parts": {"other": 1}},), "'other', which is not declared"),
            (({"reward": 1, "parts": {"valid": 7}},), "part valid is 7.0"),
        ]
        for results, message in wrong:
            with self.subTest(results), self.assertRaisesRegex(ContractError, message):
                self.returned(*results)
        with self.assertRaisesRegex(ContractError, "returned a float: return a list with 1"):
            reward(name="t")(lambda completions: 1.0).score(task("x"))

    def test_declarations_are_checked_where_they_are_written(self):
        with self.assertRaisesRegex(ValueError, "lower-case"):
            Part("Füll")
        with self.assertRaisesRegex(ValueError, "MAJOR.MINOR.PATCH"):
            reward(name="t", version="1")(lambda completions: [])
        with self.assertRaisesRegex(ValueError, "min below max"):
            reward(name="t", min=2)(lambda completions: [])
        with self.assertRaisesRegex(ValueError, "each name once"):
            reward(name="t", parts=[Part("a"), Part("a")])(lambda completions: [])


@dataclass
class Band:
    low: float
    high: float = 1.0


@dataclass
class Options:
    fields: list[str]
    mode: Literal["strict", "soft"] = "soft"
    weight: float = field(default=1.0, metadata={"minimum": 0, "description": "How much it counts"})
    bands: dict[str, Band] = field(default_factory=dict)
    limit: int | None = None


class Configuration(unittest.TestCase):
    def test_a_dataclass_becomes_a_schema(self):
        @reward(config=Options)
        def typed(completions, config):
            return [config.weight]

        band = {"low": {"type": "number"}, "high": {"type": "number", "default": 1.0}}
        band = {"type": "object", "properties": band, "additionalProperties": False, "required": ["low"]}
        self.assertEqual(
            typed.settings.schema,
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object",
                "properties": {
                    "fields": {"type": "array", "items": {"type": "string"}},
                    "mode": {"enum": ["strict", "soft"], "default": "soft"},
                    "weight": {"type": "number", "minimum": 0, "description": "How much it counts", "default": 1.0},
                    "bands": {"type": "object", "additionalProperties": band},
                    "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
                },
                "additionalProperties": False,
                "required": ["fields"],
            },
        )
        self.assertEqual(typed.score(task("x"), {"fields": [], "weight": 0}), [Scored(0.0)])

    def test_a_dataclass_is_built_all_the_way_down(self):
        read = reward(name="t", config=Options)(lambda completions: []).settings.read
        full = read({"fields": ["a"], "bands": {"x": {"low": 0}}, "limit": 3})
        self.assertEqual(full, Options(["a"], bands={"x": Band(0.0)}, limit=3))
        for config, message in [
            ({}, "fields is missing"),
            ({"fields": [], "colour": 1}, "colour is unknown"),
            ({"fields": [1]}, r"config.fields\[0\] is 1, not str"),
            ({"fields": [], "mode": "loud"}, "'loud'"),
            ({"fields": [], "weight": True}, "True, not float"),
            ({"fields": [], "limit": "x"}, "none of"),
            ({"fields": [], "bands": {"x": 1}}, "config.bands.x is 1: an object"),
        ]:
            with self.subTest(config), self.assertRaisesRegex(ConfigError, message):
                read(config)

    def test_a_schema_by_hand_gives_a_dict_with_its_defaults(self):
        @reward(config={"type": "object", "properties": {"low": {"type": "number", "default": 0.25}, "high": {}}})
        def plain(completions, config):
            return [config["low"]]

        self.assertEqual(plain.score(task("x")), [Scored(0.25)])
        self.assertEqual(plain.score(task("x"), {"low": 0.5}), [Scored(0.5)])

    def test_a_config_is_no_column(self):
        @reward()
        def open_handed(completions, **columns):
            return [float("config" in columns)]

        self.assertEqual(open_handed.score(task("x", metadata={"config": 1})), [Scored(0.0)])

    def test_types_without_a_schema_are_refused_where_they_are_written(self):
        @dataclass
        class Odd:
            when: object

        with self.assertRaisesRegex(TypeError, "when is a"):
            reward(name="t", config=Odd)(lambda completions: [])
        with self.assertRaisesRegex(TypeError, "neither a dataclass nor"):
            reward(name="t", config=int)(lambda completions: [])


if __name__ == "__main__":
    unittest.main()
