import json
import unittest
from unittest import mock

from perennial_reward import nesting


class Nesting(unittest.TestCase):
    def setUp(self):
        # install() changes the json module for good, which other tests must not see.
        for patch in (mock.patch.object(json.scanner, "make_scanner"), mock.patch.object(json, "_default_decoder")):
            patch.start()
            self.addCleanup(patch.stop)
        nesting.install()

    def test_both_scanners_read_the_same(self):
        for value in ({"a": [1, 2.5, None, True, "x\n\u00e4"]}, [[]] * 150, [{"k": [i]} for i in range(300)]):
            self.assertEqual(json.loads(json.dumps(value)), value)
        for wrong in ("[1,", "[" * 50 + "x", "[[]]" * 150):
            with self.subTest(wrong), self.assertRaises(json.JSONDecodeError):
                json.loads(wrong)

    def test_deep_nesting_is_an_error_and_no_more(self):
        with self.assertRaises(RecursionError):
            json.loads("[" * 100_000)


if __name__ == "__main__":
    unittest.main()
