#!/usr/bin/env python3
"""Proves that each rule of tools/tidy can fail, and that a clean tree passes."""

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import tempfile
import unittest

TIDY = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tools", "tidy")
# Loaded as a module for single files; run as a program where that is what is tested.
sys.dont_write_bytecode = True
LOADER = importlib.machinery.SourceFileLoader("tidy", TIDY)
tidy = importlib.util.module_from_spec(importlib.util.spec_from_loader("tidy", LOADER))
LOADER.exec_module(tidy)

CLEAN = {
    "engine/base/words.h": "#pragma once\n\n#include <string>\n\nstd::string word();\n",
    "engine/base/words.cc": '#include "engine/base/words.h"\n\n#include "absl/status/status.h"\n',
    "engine/ring/uring_io.cc": "#include <liburing.h>\n#include <sys/socket.h>\n",
    "engine/shard/turn.cc": '#include "engine/base/words.h"\n#include <thread>\n',
    "tests/unit/base/words_test.cc": '#include "engine/base/words.h"\n#include <gtest/gtest.h>\n',
    "tools/run": "#!/bin/bash\nexit 0\n",
}


class TidyTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        for path, text in CLEAN.items():
            self.write(path, text)

    def tearDown(self):
        self.folder.cleanup()

    def write(self, path, text):
        whole = os.path.join(self.folder.name, path)
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        with open(whole, "w", encoding="utf-8") as file:
            file.write(text)

    def run_tidy(self, *options):
        return subprocess.run(
            [sys.executable, TIDY, "--root", self.folder.name, *options],
            capture_output=True,
            text=True,
            check=False,
        )

    def assert_clean(self, *options):
        result = self.run_tidy(*options)
        self.assertEqual((result.returncode, result.stdout), (0, ""), result.stderr)

    def findings(self, path, text):
        self.write(path, text)
        found = [str(finding) for finding in tidy.check_file(self.folder.name, path)]
        self.assertIn(path, tidy.project_files(self.folder.name))
        os.remove(os.path.join(self.folder.name, path))
        return found

    def assert_refused(self, path, text, message, line=1):
        """A file with that text gives exactly one finding, at that line."""
        found = self.findings(path, text)
        self.assertEqual(len(found), 1, f"{path}: {text!r}: {found}")
        self.assertTrue(found[0].startswith(f"{path}:{line}: "), found[0])
        self.assertIn(message, found[0])

    def assert_allowed(self, path, text):
        self.assertEqual(self.findings(path, text), [])

    def test_a_clean_tree_passes_and_a_finding_ends_with_1(self):
        self.assert_clean("--no-headers")
        self.write("engine/base/a.cc", "volatile int a;\n")
        result = self.run_tidy("--no-headers")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stdout.count("\n"), 1)
        self.assertIn("engine/base/a.cc:1: banned: volatile", result.stdout)

    def test_floors(self):
        refused = [
            ("engine/base/a.cc", "engine/model/x.h"),  # up
            ("engine/compose/a.cc", "engine/ring/x.h"),
            ("engine/compose/a.cc", "engine/schedule/x.h"),  # sideways
            ("engine/converse/a.cc", "engine/connect/x.h"),
            ("engine/spool/a.cc", "resolver_cache/x.h"),
            ("engine/shard/a.cc", "engine/control/x.h"),
            ("engine/shard/a.cc", "resolver_cache/x.h"),
            ("engine/shard/a.cc", "tools/sink/x.h"),
            ("engine/shard/a.cc", "tests/sim/x.h"),
            ("engine/shard/a.cc", "bench/x.h"),
            ("resolver_cache/a.cc", "engine/base/x.h"),
        ]
        for path, include in refused:
            self.assert_refused(path, f'\n#include "{include}"\n', "may not include", line=2)
        allowed = [
            ("engine/resolve/a.cc", "resolver_cache/x.h"),
            ("engine/spool/a.cc", "engine/config/x.h"),
            ("engine/shard/a.cc", "engine/spool/x.h"),
            ("engine/control/a.cc", "engine/shard/x.h"),
            ("tools/cmd/a.cc", "engine/control/x.h"),
            ("tests/sim/a.cc", "engine/shard/x.h"),
        ]
        for path, include in allowed:
            self.assert_allowed(path, f'#include "{include}"\n')

    def test_includes_are_named_from_the_root(self):
        self.assert_refused("engine/base/a.cc", '#include "words.h"\n', "from the project root")

    def test_third_party_headers_stay_in_their_files(self):
        refused = [
            ("engine/ring/loop.cc", "liburing.h"),
            ("engine/resolve/route.cc", "ares.h"),
            ("engine/spool/a.cc", "openssl/evp.h"),
            ("engine/base/a.cc", "openssl/evp.h"),
            ("engine/spool/a.cc", "toml++/toml.h"),
            ("engine/shard/a.cc", "httplib.h"),
            ("engine/shard/a.cc", "spdlog/spdlog.h"),
            ("engine/config/a.cc", "CLI/CLI.hpp"),
            ("engine/compose/a.cc", "nlohmann/json.hpp"),
            ("engine/record/a.cc", "zlib.h"),
            ("engine/compose/a.cc", "zstd.h"),
            ("engine/record/a.cc", "idn2.h"),
            ("engine/base/a.cc", "gtest/gtest.h"),
            ("engine/connect/a.cc", "sys/socket.h"),
            ("engine/spool/a.cc", "fstream"),
            ("engine/shard/a.cc", "mutex"),
            ("engine/spool/a.cc", "thread"),
        ]
        for path, include in refused:
            self.assert_refused(path, f"#include <{include}>\n", "outside its place")
        self.assert_refused("engine/base/a.cc", "#include <boost/asio.hpp>\n", "not in the tables")
        allowed = [
            ("engine/resolve/cares_lookup.cc", "ares.h"),
            ("engine/base/digest.cc", "openssl/evp.h"),
            ("engine/compose/dkim_signer.cc", "openssl/evp.h"),
            ("engine/connect/tls_session.cc", "openssl/ssl.h"),
            ("engine/record/a.cc", "zstd.h"),
            ("engine/control/a.cc", "mutex"),
            ("tests/unit/control/a.cc", "httplib.h"),
            ("tests/probes/a.cc", "liburing.h"),
        ]
        for path, include in allowed:
            self.assert_allowed(path, f"#include <{include}>\n")

    def test_banned_words(self):
        refused = [
            ("engine/base/a.cc", "// TODO: later"),
            ("docs.md", "FIXME"),
            ("engine/base/a.cc", "// XXX"),
            ("engine/base/a.cc", "int a;  // HACK"),
            ("engine/shard/a.cc", "std::this_thread::sleep_for(x);"),
            ("tools/cmd/a.cc", "usleep(5);"),
            ("engine/shard/a.cc", "auto t = std::chrono::system_clock::now();"),
            ("tests/unit/base/a.cc", "auto t = std::chrono::steady_clock::now();"),
            ("engine/shard/a.cc", "auto t = time(nullptr);"),
            ("engine/shard/a.cc", "int r = rand();"),
            ("tests/unit/base/a.cc", "std::random_device device;"),
            ("engine/shard/a.cc", "std::mutex m;"),
            ("engine/base/a.cc", "using namespace std;"),
            ("engine/base/a.cc", "assert(true);"),
            ("engine/base/a.cc", "volatile int x;"),
            ("engine/base/a.cc", "sprintf(a, b);"),
            ("engine/base/a.cc", "auto* p = reinterpret_cast<const uint32_t*>(q);"),
        ]
        for path, text in refused:
            self.assert_refused(path, text + "\n", "banned")
        allowed = [
            ("engine/ring/uring_clock.cc", "auto t = std::chrono::steady_clock::now();"),
            ("engine/control/a.cc", "std::mutex m;"),
            ("engine/base/a.cc", "// no std::mutex and no rand() in a comment"),
            ("engine/base/a.cc", 'const char* words = "volatile assert(x)";'),
            ("engine/base/a.cc", "static_assert(true);"),
            ("engine/base/a.cc", "Random random; random.rand(1);"),
            ("engine/base/a.cc", "using namespace std::chrono;"),
        ]
        for path, text in allowed:
            self.assert_allowed(path, text + "\n")

    def test_co_await_with_a_capturing_lambda(self):
        for lambda_text in (
            "[&] { go(); }",
            "[this](int x) { go(x); }",
            "[a = 1]() mutable { a++; }",
        ):
            text = f"Task<> f() {{\n  co_await run(1,\n      {lambda_text});\n}}\n"
            self.assert_refused("engine/shard/a.cc", text, "lambda with captures", line=2)
        self.assert_allowed("engine/shard/a.cc", "co_await run([](int x) { go(x); });\n")
        self.assert_allowed("engine/shard/a.cc", "co_await run(a[i]);\nauto f = [&] { go(); };\n")

    def test_form(self):
        self.assert_refused("engine/base/a.cc", "int a;\n" * 601, "601 lines", line=600)
        self.assert_allowed("engine/base/a.cc", "int a;\n" * 600)
        self.assert_refused("engine/base/a.cc", "// " + "x" * 98 + "\n", "101 columns")
        self.assert_allowed("engine/base/a.cc", "// " + "x" * 97 + "\n")
        self.assert_refused("README.md", "\nhello \n", "blanks", line=2)
        self.assert_refused("engine/base/a.h", "int a;\n", "#pragma once")

    def test_machine_paths(self):
        message = "path of one machine"
        self.assert_refused("engine/base/a.cc", "// see /" + "home/jane/notes\n", message)
        self.assert_refused("tools/go", "cd /" + "work/tree\n", message)
        self.assert_allowed("README.md", "https://example.com/" + "home/page and var/" + "work/x\n")

    def test_headers_stand_alone(self):
        self.assert_clean()
        self.write("engine/base/lame.h", "#pragma once\n\nstd::vector<int> numbers();\n")
        result = self.run_tidy()
        self.assertEqual(result.returncode, 1)
        self.assertIn("engine/base/lame.h:1: the header does not stand alone", result.stdout)
        # A change of what it includes counts as a change of the header.
        text = '#pragma once\n#include "engine/base/more.h"\nMore more();\n'
        self.write("engine/base/lame.h", text)
        self.write("engine/base/more.h", "#pragma once\nstruct More {};\n")
        self.assert_clean()
        self.write("engine/base/more.h", "#pragma once\n")
        self.assertEqual(self.run_tidy().returncode, 1)
        # A source that includes its header first leaves the proof to the build.
        self.write("engine/base/lame.cc", '#include "engine/base/lame.h"\n')
        self.assert_clean()
        self.write("engine/base/lame.cc", '#include <string>\n#include "engine/base/lame.h"\n')
        self.assertEqual(self.run_tidy().returncode, 1)


if __name__ == "__main__":
    unittest.main()
