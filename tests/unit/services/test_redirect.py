"""Clients are led to emulators where variables say so, and nowhere else."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tf_dataflow_serving.services import redirect

APITOOLS = "apache_beam.io.gcp.internal.clients.bigquery.bigquery_v2_client"
ACCOUNTS = "google.oauth2.service_account"
STORAGE = "google.cloud.bigquery_storage_v1.services"
TRANSPORTS = {
    f"{STORAGE}.big_query_read.transports.grpc": "BigQueryReadGrpcTransport",
    f"{STORAGE}.big_query_read.transports.grpc_asyncio": "BigQueryReadGrpcAsyncIOTransport",
    f"{STORAGE}.big_query_write.transports.grpc": "BigQueryWriteGrpcTransport",
    f"{STORAGE}.big_query_write.transports.grpc_asyncio": "BigQueryWriteGrpcAsyncIOTransport",
}
AIPLATFORM = {
    "google.cloud.aiplatform.initializer",
    "google.cloud.aiplatform.models",
    "google.cloud.aiplatform.utils.resource_manager_utils",
}


def run_python(code: str, *path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    search = os.pathsep.join(str(directory) for directory in path)
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**inherited, **({"PYTHONPATH": search} if path else {}), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_client_is_known() -> None:
    assert set(redirect._PATCHES) == {APITOOLS, ACCOUNTS, *TRANSPORTS, *AIPLATFORM}


@pytest.mark.parametrize(("emulator", "remarks"), [("http://127.0.0.1:1", 0), ("", 1)])
def test_an_account_without_an_address_is_not_remarked_on(emulator: str, remarks: int) -> None:
    code = (
        "from tf_dataflow_serving.services import redirect; redirect.install()\n"
        "from google.oauth2.service_account import Credentials\n"
        "Credentials(None, '', 'uri')._build_regional_access_boundary_lookup_url()\n"
    )
    done = run_python(code, BIGQUERY_EMULATOR_HOST=emulator)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Regional Access Boundary") == remarks


def test_installing_imports_no_client() -> None:
    code = (
        "import sys; from tf_dataflow_serving.services import redirect\n"
        "redirect.install(); redirect.install()\n"
        "print({'google.auth', 'google.cloud.bigquery_storage_v1', 'apache_beam', 'grpc'}\n"
        "      & sys.modules.keys())\n"
        "print(sum(isinstance(f, redirect._PatchingFinder) for f in sys.meta_path))\n"
    )
    assert run_python(code).stdout == "set()\n1\n"


class TestBeam:
    """Written for apache-beam 2.77: its client takes the address from a class attribute."""

    CODE = f"from {APITOOLS} import BigqueryV2\nprint(BigqueryV2(get_credentials=False).url)\n"

    def test_its_client_is_led_to_the_emulator(self) -> None:
        ran = run_python(
            self.CODE, redirect.SITE_DIRECTORY, BIGQUERY_EMULATOR_HOST="http://127.0.0.1:5/"
        )
        assert ran.stdout == "http://127.0.0.1:5/bigquery/v2/\n", ran.stderr

    def test_its_client_is_as_it_was_without_the_variable(self) -> None:
        redirected, plain = (
            run_python(self.CODE, *path, BIGQUERY_EMULATOR_HOST="")
            for path in ([redirect.SITE_DIRECTORY], [])
        )
        assert redirected.stdout == plain.stdout == "https://bigquery.googleapis.com/bigquery/v2/\n"

    def test_a_client_that_is_imported_already_is_led_there_too(self) -> None:
        code = (
            f"from {APITOOLS} import BigqueryV2\n"
            "from tf_dataflow_serving.services import redirect; redirect.install()\n"
            "print(BigqueryV2(get_credentials=False).url)\n"
        )
        ran = run_python(code, BIGQUERY_EMULATOR_HOST="http://127.0.0.1:5")
        assert ran.stdout == "http://127.0.0.1:5/bigquery/v2/\n", ran.stderr


@pytest.mark.parametrize(("module", "name"), TRANSPORTS.items())
def test_the_transports_make_their_channel_as_we_rely_on(module: str, name: str) -> None:
    """Written for google-cloud-bigquery-storage 2.x."""
    transport = getattr(import_module(module), name)
    assert transport.create_channel.__func__ is not None


class TestChannels:
    @pytest.fixture
    def transport(self) -> Iterator[Any]:
        class Transport:
            @classmethod
            def create_channel(cls, host: str, **options: Any) -> Any:
                return cls, host, options

        module = ModuleType("transports")
        module.Transport = Transport  # type: ignore[attr-defined]
        redirect._redirect_channels("Transport", lambda *made: made)(module)
        return Transport  # type: ignore[return-value]

    def test_they_lead_to_the_emulator(
        self, transport: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BIGQUERY_STORAGE_EMULATOR_HOST", "127.0.0.1:5")
        channel = transport.create_channel("real:443", credentials="c", options=[("o", 1)])
        assert channel == ("127.0.0.1:5", [("o", 1)])

    def test_they_are_as_they_were_without_the_variable(
        self, transport: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("BIGQUERY_STORAGE_EMULATOR_HOST", raising=False)
        channel = transport.create_channel("real:443", credentials="c")
        assert channel == (transport, "real:443", {"credentials": "c"})


def test_a_library_without_what_is_redirected_is_told() -> None:
    with pytest.raises(AttributeError):
        redirect._redirect_apitools(SimpleNamespace())  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        redirect._redirect_channels("Gone", print)(SimpleNamespace())  # type: ignore[arg-type]


class TestSite:
    def test_a_child_python_is_redirected(self) -> None:
        code = (
            "import sys; from tf_dataflow_serving.services import redirect\n"
            "print(any(isinstance(f, redirect._PatchingFinder) for f in sys.meta_path))"
        )
        assert run_python(code, redirect.SITE_DIRECTORY).stdout == "True\n"

    def test_the_sitecustomize_that_it_hides_is_run(self, tmp_path: Path) -> None:
        (tmp_path / "sitecustomize.py").write_text("print('other', __name__, __file__[-16:])")
        ran = run_python("print('main')", redirect.SITE_DIRECTORY, tmp_path)
        assert ran.stdout == "other sitecustomize sitecustomize.py\nmain\n", ran.stderr

    def test_the_same_directory_twice_does_no_harm(self) -> None:
        twice = redirect.SITE_DIRECTORY, Path(f"{redirect.SITE_DIRECTORY}/../redirect_site")
        ran = run_python("print('main')", *twice)
        assert (ran.stdout, ran.stderr, ran.returncode) == ("main\n", "", 0)

    def test_a_python_without_the_package_is_warned_in_one_line(self, tmp_path: Path) -> None:
        package = tmp_path / "tf_dataflow_serving"
        package.mkdir()
        (package / "__init__.py").write_text("raise ImportError('not here')")
        ran = run_python("print('main')", tmp_path, redirect.SITE_DIRECTORY)
        assert (ran.stdout, ran.returncode) == ("main\n", 0)
        (line,) = ran.stderr.splitlines()
        assert "not redirected" in line
        assert "not here" in line


def test_the_site_directory_holds_what_python_looks_for() -> None:
    assert isinstance(redirect.SITE_DIRECTORY, Path)
    assert (redirect.SITE_DIRECTORY / "sitecustomize.py").is_file()
    with pytest.raises(AttributeError, match="NOTHING"):
        _ = redirect.NOTHING  # type: ignore[attr-defined]
