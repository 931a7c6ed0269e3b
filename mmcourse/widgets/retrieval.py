"""Retrieval: a text is asked in one of two languages, and a collection of pictures is ranked."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from mmcourse.widgets.base import CourseWidget, numbers, pixels
from mmcourse.widgets.prompt_grid import sheet

AXES = "pictures, channels, height, width"


class Retrieval(CourseWidget):
    """The pictures nearest to a text, the nearest first.

    The page carries the vectors of all pictures and texts, rounded to bytes, and computes the
    cosines itself. Everything counts from 0 here, and ranks from 1 on the page.

    Attributes:
        query, language: the text that is asked, and in which language (shared with the page).
    """

    _files = "retrieval"
    _controls = ("query", "language")

    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    queries = traitlets.List(traitlets.List(traitlets.Unicode())).tag(sync=True)
    languages = traitlets.List(traitlets.Unicode()).tag(sync=True)
    targets = traitlets.List(traitlets.Int()).tag(sync=True)
    query = traitlets.Int(0).tag(sync=True)
    language = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        pictures: Any,
        picture_vectors: Any,
        *,
        names: Sequence[str],
        queries: Sequence[Sequence[str]],
        query_vectors: Any,
        languages: Sequence[str],
        targets: Sequence[int] | None = None,
        query: int = 0,
        language: int = 0,
        presets: Sequence[Mapping[str, Any]] = (),
        caption: str = "",
    ) -> None:
        """Show pictures.

        Args:
            pictures: (pictures, 3, height, width), uint8 or floats in [-1, 1]; eight or more.
            picture_vectors: their unit vectors, (pictures, d).
            names: what each picture shows.
            queries: of each query, its text in every language.
            query_vectors: their unit vectors, (queries, languages, d).
            languages: names of the languages.
            targets: of each query, the place of the right picture, or -1 where several or none
                are right.
            query, language: asked at first, counted from 0.
            presets: buttons: {"name": …, "note": what to look for, and any of the controls}.
            caption: a sentence below.

        Raises:
            ValueError: the pictures are not such, or vectors, names or queries do not fit them.
        """
        self._pictures = pixels(pictures, "pictures", AXES)
        count, channels, height, width = self._pictures.shape
        if channels != 3 or count < SHOWN:
            raise ValueError(f"need {SHOWN} or more colour pictures, got {self._pictures.shape}")
        own = _bytes(picture_vectors, "picture_vectors", "pictures, d")
        asked = _bytes(query_vectors, "query_vectors", "queries, languages, d")
        texts = [[str(text) for text in row] for row in queries]
        right = [-1] * len(texts) if targets is None else [int(place) for place in targets]
        wanted = (len(texts), len(languages), own.shape[1])
        if len(own) != count or len(names) != count or asked.shape != wanted:
            raise ValueError(
                f"need a vector and a name for each of {count} pictures and query vectors of "
                f"shape {wanted}, got {own.shape}, {len(names)} and {asked.shape}"
            )
        _check_queries(texts, right, len(languages), count)
        self._vectors = own.astype(int), asked.astype(int)
        super().__init__(
            data=own.tobytes() + asked.tobytes() + sheet(_rows(self._pictures)),
            shape=[count, own.shape[1], height, width],
            names=[str(name) for name in names],
            queries=texts,
            languages=[str(name) for name in languages],
            targets=right,
            query=query,
            language=language,
            presets=presets,
            caption=caption,
        )

    def _limits(self, state: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        return {"query": (0, len(self.queries) - 1), "language": (0, len(self.languages) - 1)}

    def _ranked(self) -> list[int]:
        """Places of the pictures, the nearest first; of equals the earlier."""
        own, asked = self._vectors
        scores = own @ asked[self.query, self.language]
        return np.argsort(-scores, kind="stable").tolist()

    def _describe(self) -> str:
        """The sentence of the page."""
        order, text = self._ranked(), self.queries[self.query][self.language]
        said = f"“{text}” finds first: {', '.join(self.names[place] for place in order[:3])}."
        target = self.targets[self.query]
        if target < 0:
            return said
        rank = order.index(target) + 1
        return f"{said} The right picture has rank {rank} of {len(order)}."

    def _draw(self) -> Any:
        from mmcourse.plots import image_grid

        best = self._ranked()[:SHOWN]
        titles = [f"{i + 1}. {self.names[place][:16]}" for i, place in enumerate(best)]
        return image_grid(self._pictures[best] / 127.5 - 1, columns=SHOWN // 2, titles=titles)


SHOWN = 8
COLUMNS = 16  # pictures side by side in the file


def _bytes(values: Any, name: str, axes: str) -> np.ndarray:
    """Unit vectors times 127, as signed bytes."""
    array = numbers(values, name, axes)
    lengths = np.linalg.norm(array, axis=-1)
    if np.abs(lengths - 1).max() > 1e-2:
        raise ValueError(f"{name} must be unit vectors, got lengths to {lengths.max():.3g}")
    return np.round(127 * array).clip(-127, 127).astype(np.int8)


def _rows(pictures: np.ndarray) -> np.ndarray:
    """Pictures in rows of `COLUMNS`, white where none is left."""
    spare = -len(pictures) % COLUMNS
    filled = np.pad(pictures, ((0, spare), *[(0, 0)] * 3), constant_values=255)
    return filled.reshape(-1, COLUMNS, *pictures.shape[1:])


def _check_queries(
    texts: Sequence[Sequence[str]], right: Sequence[int], languages: int, count: int
) -> None:
    if any(len(row) != languages for row in texts) or len(right) != len(texts):
        raise ValueError(f"every query needs {languages} texts and one target")
    if any(not -1 <= place < count for place in right):
        raise ValueError(f"targets must be places from 0 to {count - 1} or -1, got {right}")
