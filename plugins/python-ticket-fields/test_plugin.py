import sys
import unittest
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "vendor"))

from perennial_reward import Abstained, Scored, Task
from perennial_reward.cases import check

from plugin import Config, same, ticket_fields

TICKET = '{"item": "cable", "fault": "broken"}'


def score(text, reference=TICKET, config=None):
    task = Task([{"role": "user", "content": "cable broken"}], [text], reference)
    return ticket_fields.score(task, config)[0]


class TicketFields(unittest.TestCase):
    def test_cases(self):
        self.assertGreater(check(ticket_fields, HERE / "cases"), 0)

    def test_it_still_is_a_function_for_trl(self):
        (verdict,) = ticket_fields(prompts=["cable broken"], completions=[TICKET], reference=[TICKET], completion_ids=[[1]])
        self.assertEqual(verdict, Scored(1.0, {"valid": 1.0, "fields": 1.0, "clean": 1.0}))

    def test_each_right_field_raises_the_reward(self):
        answers = ["no", "{}", '{"item": "hub"}', '{"item": "cable", "fault": "hot"}', TICKET]
        rewards = [score(text).reward for text in answers]
        self.assertEqual(rewards, sorted(set(rewards)))

    def test_what_cannot_be_compared_is_left_out(self):
        self.assertEqual(score(TICKET, reference="cable"), Abstained("the reference is no JSON object"))
        self.assertEqual(score(TICKET, reference="{}"), Abstained("the reference has no fields"))
        self.assertEqual(score(TICKET, reference=None), Abstained("the row has no reference"))

    def test_deep_nesting_is_an_answer_that_is_no_object(self):
        self.assertEqual(score("[" * 100_000).reward, 0.0)

    def test_values_agree_by_type_and_case_as_configured(self):
        self.assertTrue(same(" Cable", "cable", Config()))
        self.assertFalse(same("Cable", "cable", Config(ignore_case=False)))
        self.assertFalse(same(True, 1, Config()))
        self.assertTrue(same([1, {"a": 2}], [1, {"a": 2}], Config()))


if __name__ == "__main__":
    unittest.main()
