"""Trained models as files that a page without a kernel can run.

`export` writes a model of the package as ONNX graphs with half-precision weights and a
description; the files beside it in JavaScript run them in a worker of the browser.
"""

from mmcourse.inpage.export import EXPORTS, export

__all__ = ["EXPORTS", "export"]
