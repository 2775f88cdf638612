"""ctest's results, as it writes them, and how .ci/count-results counts them."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

COUNT_RESULTS = Path(__file__).parents[2] / ".ci" / "count-results"

PASSED = '<testcase name="{}" status="run"><system-out>fine</system-out></testcase>'
FAILED = '<testcase name="{}" status="fail"><failure message=""/></testcase>'
SKIPPED = '<testcase name="{}" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/></testcase>'
SAYS_SKIPPED = (
    '<testcase name="{}" status="run"><system-out>a.cpp(1): MESSAGE: SKIPPED: no huge pages'
    "</system-out></testcase>"
)
DISABLED = '<testcase name="{}" status="disabled"/>'
NO_PROGRAM = (
    '<testcase name="{}" status="notrun"><skipped message="Unable to find executable"/></testcase>'
)
NO_CASE = (
    '<testcase name="{}" status="run"><system-out>[doctest] test cases: 0 | 0 passed | 0 failed '
    "| 9 skipped</system-out></testcase>"
)


def count(*files):
    """The exit code and the lines that .ci/count-results prints for files of these test cases."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.xml" for number in range(len(files))]
        for path, cases in zip(paths, files):
            named = "".join(case.format(f"t{number}") for number, case in enumerate(cases))
            path.write_text(f"<testsuite>{named}</testsuite>", encoding="utf-8")
        done = subprocess.run([COUNT_RESULTS, *paths], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.splitlines()


class CountResults(unittest.TestCase):
    def test_files_are_added_up(self):
        self.assertEqual(count([PASSED, PASSED], [PASSED]), (0, ["3 passed, 0 failed"]))

    def test_what_did_not_run_counts_as_failed(self):
        for case in (FAILED, NO_PROGRAM, NO_CASE):
            with self.subTest(case):
                code, lines = count([PASSED, case])
                self.assertEqual((code, lines[-1]), (1, "1 passed, 1 failed"))
                self.assertTrue(lines[0].startswith("failed: t1 ("), lines)

    def test_what_asked_to_be_skipped_is_counted_apart(self):
        code, lines = count([PASSED, SKIPPED, SAYS_SKIPPED, DISABLED])
        self.assertEqual((code, lines[-1]), (0, "1 passed, 0 failed, 3 skipped"))

    def test_a_failure_is_no_skip_whatever_it_prints(self):
        case = SAYS_SKIPPED.replace('"run"', '"fail"')
        self.assertEqual(count([PASSED, case])[1][-1], "1 passed, 1 failed")

    def test_no_test_at_all_is_a_failure(self):
        self.assertEqual(count([]), (1, ["0 passed, 0 failed"]))

    def test_a_missing_file_is_a_failure(self):
        done = subprocess.run([COUNT_RESULTS, "/nowhere.xml"], capture_output=True, check=False)
        self.assertNotEqual(done.returncode, 0)


if __name__ == "__main__":
    sys.exit(unittest.main())
