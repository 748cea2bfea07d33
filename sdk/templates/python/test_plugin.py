import sys
import unittest
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "vendor"))

from perennial_reward.cases import check

import plugin


class Plugin(unittest.TestCase):
    def test_cases(self):
        self.assertGreater(check(plugin.score, HERE / "cases"), 0)

    def test_words_count_as_often_as_both_have_them(self):
        self.assertEqual(plugin.f1(["a", "a"], ["a", "b"]), 0.5)
        self.assertEqual(plugin.f1([], []), 0.0)


if __name__ == "__main__":
    unittest.main()
