import json
import tempfile
import unittest
from pathlib import Path

from perennial_reward import Abstained, Part, cases, reward


@reward(parts=[Part("letters", max=100)])
def short(completions, reference):
    """Are answers no longer than the reference?"""
    if "?" in completions:
        raise ValueError("no answer")
    limit = len(reference[0])
    return [
        {"reward": float(len(text) <= limit), "parts": {"letters": len(text)}, "reason": f"{len(text)} letters"}
        if text
        else Abstained("empty")
        for text in completions
    ]


class Cases(unittest.TestCase):
    def check(self, *completions):
        with tempfile.TemporaryDirectory() as folder:
            case = {"prompt": "Say four", "reference": "four", "completions": completions}
            Path(folder, "case.json").write_text(json.dumps(case))
            return cases.check(short, folder)

    def test_what_fits_passes(self):
        judged = self.check(
            {"text": "4", "expect": {"reward": 1.0, "parts": {"letters": 1}, "reason_contains": "1 letter"}},
            {"text": "fourteen", "expect": {"reward": 0.1, "tolerance": 0.2, "outcome": "scored"}},
            {"text": "", "expect": {"outcome": "abstained", "reason_contains": "empty"}},
            {"text": "whatever", "expect": {"reward": 0}},
        )
        self.assertEqual(judged, 4)

    def test_every_difference_is_told(self):
        with self.assertRaises(AssertionError) as raised:
            self.check(
                {"text": "4", "expect": {"reward": 0.0, "parts": {"letters": 2}, "reason_contains": "x"}},
                {"text": "", "expect": {"reward": 1.0}},
                {"text": "4", "expect": {"outcome": "abstained"}},
            )
        told = str(raised.exception).splitlines()
        self.assertEqual(len(told), 5)
        self.assertEqual(told[3], "case.json, completion 1: it abstained (empty), and scored is expected")
        self.assertEqual(told[1], "case.json, completion 0: the reward is 1.0, and 0.0 is expected")
        self.assertEqual(told[4], "case.json, completion 2: it scored (1 letters), and abstained is expected")

    def test_what_is_raised_is_a_fault_of_every_completion(self):
        fault = {"outcome": "faulted", "reason_contains": "ValueError: no answer"}
        self.assertEqual(self.check({"text": "?", "expect": fault}, {"text": "4", "expect": fault}), 2)
        with self.assertRaisesRegex(AssertionError, "it faulted"):
            self.check({"text": "?", "expect": {}})
        with self.assertRaisesRegex(AssertionError, "nothing can be expected of rewards"):
            self.check({"text": "4", "expect": {"rewards": 1}})

    def test_a_folder_without_cases_is_no_success(self):
        with tempfile.TemporaryDirectory() as folder, self.assertRaisesRegex(AssertionError, "holds no cases"):
            cases.check(short, folder)
