"""Run by every Python that has this directory on PYTHONPATH.

Redirects Google's clients to emulators, and Beam's local runner to ours. No service uses it: here
a Python of somebody else's gets what `run` has.

Every such Python pays for what is imported here, so only what the interpreter has loaded anyway.
"""

import sys
from importlib.machinery import ModuleSpec, PathFinder


def _redirect() -> None:
    # No Python may fail to start because of this: it may be one without this package.
    try:
        from tf_dataflow_serving.runners.streaming import first_run  # noqa: PLC0415
        from tf_dataflow_serving.services.redirect import install, patch_on_import  # noqa: PLC0415

        install()
        patch_on_import(first_run.PATCHES)
    except Exception as error:
        sys.stderr.write(f"Google clients are not redirected to emulators: {error!r}\n")


def _next_sitecustomize() -> ModuleSpec | None:
    """The sitecustomize that this one hides: the next one on the path, if there is one."""
    passed = False
    for directory in sys.path:
        spec = PathFinder.find_spec("sitecustomize", [directory])
        if spec is not None and passed:
            return spec
        passed = passed or (spec is not None and spec.origin == __file__)
    return None


def _run(spec: ModuleSpec) -> None:
    module = type(sys)(spec.name)
    module.__spec__ = spec
    module.__file__ = spec.origin
    if spec.loader is not None:
        spec.loader.exec_module(module)


_redirect()
_hidden = _next_sitecustomize()
if _hidden is not None:
    _run(_hidden)
