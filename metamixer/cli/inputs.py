"""The input that `metamixer space` counts with: given, or that of a task, of a study, or of the shipped study."""

from __future__ import annotations

from metamixer.errors import UserError

Input = tuple[int, tuple[int, ...]]  # channels and grid


def resolve(
    space: str, channels: int | None, grid: tuple[int, ...] | None, task: str | None, study: str | None
) -> Input:
    """Channels and grid of one input; what is given wins over what the task or the study has.

    Args:
        space: As it was named; for one that ships, the shipped studies of it are looked at.
        channels: As given, or None.
        grid: As given, or None.
        task: A task's name.
        study: A study's file, or the name of a shipped one.

    Raises:
        UserError: Nothing says what the input is, or there is no such task or study.
    """
    if task is not None and study is not None:
        raise UserError("--task and --study both say what the input is", None, "give one of them")
    if channels is None or grid is None:
        if task is not None:
            found: tuple[int | None, tuple[int, ...] | None] = _of_task(task)
        elif study is not None:
            found = _of_study(study)
        else:
            found = _of_shipped(space)
        channels, grid = channels or found[0], grid or found[1]
    if channels is None or grid is None:
        missing = [option for option, value in (("--channels", channels), ("--grid", grid)) if value is None]
        raise UserError(
            f"nothing says what the input of {space} is: {' and '.join(missing)} {'is' if len(missing) < 2 else 'are'}"
            " missing",
            None if study is None else f"{study} leaves it to the images ([data] channels, size)",
            "give --study FILE, --task NAME, or both --channels 3 and --grid 32x32",
        )
    return channels, grid


def _of_task(name: str) -> Input:
    from metamixer import tasks

    task = tasks.get(name)
    return task.channels, task.grid


def _of_study(name: str) -> tuple[int | None, tuple[int, ...] | None]:
    """What a study says of its input, without decoding images: of `[data]` that is what the section itself holds."""
    from metamixer.search import configuration

    config = configuration.load(name)
    if config.study.task is not None:
        return _of_task(config.study.task)
    assert config.data is not None  # a study has either
    return config.data.channels, config.data.size


def _of_shipped(space: str) -> tuple[int | None, tuple[int, ...] | None]:
    """What the shipped studies of a shipped space have as input, if they agree."""
    from metamixer import resources
    from metamixer.search import configuration

    if space not in resources.names("search_spaces"):
        return None, None
    studies = [name for name in resources.names("studies") if configuration.load(name).study.space == space]
    found = {_of_study(name) for name in studies}
    return found.pop() if len(found) == 1 else (None, None)
