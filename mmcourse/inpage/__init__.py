"""Trained models as files that a page without a kernel can run.

`PageModel` holds the networks of a lesson for its widget; `export` writes a model that comes with
the package as ONNX graphs and a description. The files beside it in JavaScript run them in a
worker of the browser.
"""

from mmcourse.inpage.export import EXPORTS, export
from mmcourse.inpage.page_model import Method, PageModel, Part
from mmcourse.inpage.watched import WatchedBert, WatchedUNet

__all__ = ["EXPORTS", "Method", "PageModel", "Part", "WatchedBert", "WatchedUNet", "export"]
