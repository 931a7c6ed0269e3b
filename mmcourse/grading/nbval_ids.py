"""A pytest plugin: each cell's id goes into its report, so that no cell is told by its number."""

from __future__ import annotations

from typing import Any

from mmcourse.grading.namespaces import die_with_parent


def pytest_configure(config: Any) -> None:
    """A grader that is killed takes its judge with it."""
    die_with_parent()


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Notes the id of every notebook cell."""
    for item in items:
        cell = getattr(item, "cell", None)
        if cell is not None:
            item.user_properties.append(("cell_id", cell.get("id", "")))
