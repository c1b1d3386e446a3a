"""What `aegis scan` prints: each decision point with its tables and its forecast."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aegis.cli.display.output import console, say
from aegis.config import DEFAULT_MAX_TOKENS
from aegis.rendering import clean_text, counted

if TYPE_CHECKING:
    from rich.table import Table

    from aegis.experiments.scan import PointReport, ScanReport
    from aegis.promotion.judging.coverage import Level

SHOWN_POINTS, SHOWN_ACTIONS = 10, 8


def show_report(report: ScanReport) -> None:
    """Print a scan: its tables drawn in a terminal, as lines in a pipe."""
    say(f"{report.file}: read as {report.format}")
    for note in report.notes:
        say(f"  {note}")
    points = counted(len(report.points), "decision point")
    say(f"  {counted(report.decisions, 'decision')} at {points}, {counted(report.refused, 'line')} refused")
    for what, count in report.passed.items():
        say(f"  passed over: {count:,} × {what}")
    for point in report.points[:SHOWN_POINTS]:
        _show_point(point)
    if rest := report.points[SHOWN_POINTS:]:
        say("")
        decisions = sum(point.decisions for point in rest)
        say(f"and {counted(len(rest), 'more decision point')} with {counted(decisions, 'decision')} (--json has all)")


def _show_point(point: PointReport) -> None:
    say("")
    console.print(f"[bold]{_escaped(clean_text(point.name, 200))}[/bold]" if console.is_terminal else point.name)
    how = "" if point.given_episodes else " (blocks of 20 in a row where the file names none: --episode names a field)"
    say(f"  {counted(point.decisions, 'decision')} in {counted(point.episodes, 'episode')}{how}")
    for name, count in list(point.actions.items())[:SHOWN_ACTIONS]:
        say(f"    {clean_text(name, 40):<40} {count:>9,} ({count / point.decisions:.1%})")
    if len(point.actions) > SHOWN_ACTIONS:
        rest = sum(list(point.actions.values())[SHOWN_ACTIONS:])
        others = f"{len(point.actions) - SHOWN_ACTIONS} others"
        say(f"    {others:<40} {rest:>9,} ({rest / point.decisions:.1%})")
    say(f"  as hard to guess as {point.effective_actions:.1f} equally common actions")
    if point.never_taken:
        say(f"  on offer and never taken: {clean_text(', '.join(point.never_taken), 200)}")
    if point.sampled < point.decisions:
        say(f"  below: a sample of {counted(point.sampled, 'decision')}, in whole episodes (--sample)")
    if point.long_states:
        say(
            f"  long states: {point.long_states:.1%} have more than the {DEFAULT_MAX_TOKENS} tokens that an HRM reads"
            f" by default, the longest {point.most_tokens:,}: train with --max-tokens"
        )
    again = point.repetition
    near = f"{again.near:.1%} of {again.compared:,} have a near duplicate"
    say(f"  repetition: {again.repeated:.1%} are a state seen before; {near}")
    if again.interval and again.ceiling is not None:
        say(
            f"  the teacher and itself: on an equal state the same action in {again.agreeing / again.pairs:.1%} of"
            f" {counted(again.pairs, 'pair')} (95%: {_range(again.interval)});"
            f" no model agrees there more often than {again.ceiling:.1%}"
        )
    _show_forecast(point)


def _show_forecast(point: PointReport) -> None:
    forecast = point.forecast
    if forecast is None:
        more = f": about {point.more:,} more" if point.more else ""
        say(f"  TOO LITTLE{more} ({point.too_little})")
        return
    rows: list[tuple[str, ...]] = [("agreement of", "held out", "95% interval")]
    rows += [(model.name, f"{model.agreement:.1%}", _range(model.interval)) for model in forecast.models]
    _table(rows)
    if forecast.table:
        say(f"  the table of fields reads {clean_text(', '.join(forecast.table), 200)}")
        if forecast.sure:
            say(
                "  ⚠ so few fields all but say the answer: is each of them known before the decision, and not filled in"
                " with it? (--exclude NAME scans without one, and trains without it)"
            )
    rows = [("at", "certified share", "agreement there", "in hindsight", "")]
    rows += [_level_row(level) for level in forecast.levels]
    _table(rows)
    gained = next(model.agreement for model in forecast.models if model.name == forecast.best) - forecast.half
    say(f"  learned from {forecast.trained:,}, certified by {forecast.bounded:,} others; best: {forecast.best}")
    say(f"  the second half of what it learned from changed its agreement by {100 * gained:+.1f} points")
    level = forecast.levels[1]
    say(
        f"  FORECAST: {level.share:.0%} of these decisions could be an HRM's at a certified agreement of"
        f" {level.target:.0%}, somewhere from {forecast.share_range[0]:.0%} to {forecast.share_range[1]:.0%}"
    )
    say("  That is what the best simple model takes; an HRM may take more or fewer. `aegis curve` measures one.")


def _level_row(level: Level) -> tuple[str, ...]:
    agreement = "-" if level.agreement is None else f"{level.agreement:.1%}"
    more = "" if level.more is None else f"about {level.more:,} more decisions would certify a share"
    if level.more is None and not level.decided:
        more = "no number of such decisions would: too many of the surest differ"
    return f"{level.target:.0%}", f"{level.share:.1%}", agreement, f"{level.hindsight:.1%}", more


def _table(rows: list[tuple[str, ...]]) -> None:
    """Print rows under the first one: a table in a terminal, lines in a pipe."""
    if console.is_terminal:
        console.print(_drawn(rows))
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say("    " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _drawn(rows: list[tuple[str, ...]]) -> Table:
    from rich.table import Table

    table = Table(*rows[0])
    for row in rows[1:]:
        table.add_row(*map(_escaped, row))
    return table


def _escaped(text: str) -> str:
    return text.replace("[", "\\[")


def _range(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.1%} to {interval[1]:.1%}"
