"""Goal: grafana/preview fails when a panel has no data, and only then.

Method: a stand-in for Prometheus on a free port answers every question, or all but those
that name one metric.
"""

import http.server
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.parse

from support import GRAFANA

from lib.units import shown


class Answers(http.server.BaseHTTPRequestHandler):
    """Two points for each question, no row for `missing`, and no number for `broken`."""

    missing = broken = "\0"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        question = {name: values[0] for name, values in urllib.parse.parse_qs(body).items()}
        begin = float(question.get("start", "0"))
        value = "NaN" if self.broken in question["query"] else "1"
        row = {"metric": {"instance": "one"}, "values": [[begin, value], [begin + 60, value]]}
        row["value"] = row["values"][1]
        result = [] if self.missing in question["query"] else [row]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"status": "success", "data": {"result": result}}).encode())

    def log_message(self, *_):
        pass


def preview(missing="\0", broken="\0"):
    """Exit code, errors and the pictures of a run over the dashboard of a node."""
    kind = type("Some", (Answers,), {"missing": missing, "broken": broken})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, GRAFANA / "preview", "--only", "node", "--out", folder,
                       "--prometheus", f"http://127.0.0.1:{server.server_port}"]
            ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
            pictures = {path.name: path.read_bytes()[:4] for path in pathlib.Path(folder).iterdir()}
            return ran.returncode, ran.stderr, pictures
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Preview(unittest.TestCase):
    def test_panels_with_data_make_a_picture(self):
        self.assertEqual(preview(), (0, "", {"node.png": b"\x89PNG"}))

    def test_a_panel_without_data_fails(self):
        code, errors, _ = preview(missing="hubbub_tail_lag_events", broken="hubbub_ring_bytes")
        empty = ["Tail lag, events", "Ring, bytes"]
        self.assertEqual((code, errors), (1, "".join(f"error: no data: node: {title}\n" for title in empty)))

    def test_no_prometheus_fails(self):
        command = [sys.executable, GRAFANA / "preview", "--prometheus", "http://127.0.0.1:9", "--only", "node"]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
        self.assertEqual(ran.returncode, 1)
        self.assertIn("error: http://127.0.0.1:9", ran.stderr)

    def test_numbers_have_units(self):
        for value, unit, text in [
            (0.0025, "s", "2.5 ms"), (90, "s", "1.5 min"), (1536, "bytes", "1.5 KiB"), (0, "bytes", "0 B"),
            (0.5, "percentunit", "50 %"), (12_500, "short", "12.5 k"), (2, "cps", "2/s"), (0, "s", "0"),
        ]:
            with self.subTest(text):
                self.assertEqual(shown(value, unit), text)


if __name__ == "__main__":
    unittest.main()
