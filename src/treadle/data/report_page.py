"""The quality report as one HTML page that needs nothing else: no network, no script; light and dark."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

from treadle.base import units
from treadle.data.report_plots import bars, histogram, parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Facts = Mapping[str, Any]

_STYLE: Final = """
:root{color-scheme:light dark;--paper:#faf8f4;--card:#fff;--ink:#22262a;--soft:#6a7178;--line:#e6e1d8;--main:#2f7566;
--tint:#dcebe6;--second:#c8763a;--alarm:#b3402f;--good:#2f7d4f}
@media(prefers-color-scheme:dark){:root{--paper:#14171a;--card:#1c2125;--ink:#e6e4df;--soft:#98a1a8;--line:#2e353b;
--main:#6fc2ab;--tint:#24403a;--second:#e39a5f;--alarm:#ef8a78;--good:#7fcf9b}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1080px;margin:0 auto;padding:44px 24px 72px}
h1{font:600 34px/1.15 Georgia,"Times New Roman",serif;margin:0 0 6px}
h1 small{color:var(--soft);font-size:20px;font-weight:400}
h2{font:600 20px/1.3 Georgia,"Times New Roman",serif;margin:0 0 4px}
h3{font-size:13px;font-weight:600;margin:18px 0 6px;color:var(--soft)}
.id{color:var(--soft);font:12px/1.6 ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.figures{display:grid;grid-template-columns:repeat(4,1fr);gap:1px;background:var(--line);
border:1px solid var(--line);border-radius:12px;overflow:hidden;margin:28px 0}
.figures div{background:var(--card);padding:16px 18px}.figures b{display:block;font:600 25px/1.2 Georgia,serif;
font-variant-numeric:tabular-nums}.figures span{color:var(--soft);font-size:13px}
.figures .alarm b{color:var(--alarm)}.figures .good b{color:var(--good)}
.grid{display:grid;grid-template-columns:1fr 1fr;gap:20px}
.grid>div{display:flex;flex-direction:column;gap:20px;min-width:0}
@media(max-width:760px){.grid{grid-template-columns:1fr}.figures{grid-template-columns:1fr 1fr}}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:22px 24px;min-width:0}
.grid>div>section:last-child{flex-grow:1}
section.wide{margin-top:20px}.pair text{font-size:21px}.note{color:var(--soft);font-size:13.5px;margin:0 0 14px}
svg{width:100%;height:auto;display:block}svg text{fill:var(--soft);font-size:12px}.column{fill:var(--main)}
.axis{stroke:var(--line)}
.bar{display:grid;grid-template-columns:minmax(90px,34%) 1fr 84px;gap:12px;align-items:center;padding:3px 0;
font-size:14px}
.name{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.track{background:var(--tint);height:9px;border-radius:5px}
.fill{display:block;height:9px;border-radius:5px;background:var(--main)}
.value{text-align:right;color:var(--soft);font-variant-numeric:tabular-nums;white-space:nowrap}
.parts{display:flex;height:18px;border-radius:9px;overflow:hidden;background:var(--tint)}.part0{background:var(--main)}
.part1{background:var(--second)}.legend{display:flex;flex-wrap:wrap;gap:6px 22px;margin-top:10px;font-size:14px}
.legend i{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:7px}
table{border-collapse:collapse;width:100%;font-size:14px;table-layout:fixed}
td,th{text-align:left;padding:6px 10px 6px 0;
border-top:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
th{color:var(--soft);font-weight:500;border:0}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums;padding-right:0}
.begins{color:var(--soft)}code{font:13px ui-monospace,Menlo,Consolas,monospace;background:var(--tint);padding:1px 5px;
border-radius:4px;white-space:pre}.tokens{display:flex;flex-wrap:wrap;gap:6px}
.alarm{color:var(--alarm)}.good{color:var(--good)}footer{color:var(--soft);font-size:13px;margin-top:32px}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(240px,1fr));gap:8px 28px}
@media print{body{background:#fff}section{break-inside:avoid}}
"""


def page_of(facts: Facts) -> str:
    """The page, from what `report_of` gives."""
    left = "".join(section(facts) for section in (_lengths, _duplicates, _refused, _tokens))
    right = "".join(section(facts) for section in (_languages, _split))
    columns = f'<div class="grid"><div>{left}</div><div>{right}</div></div>'
    title = f"{facts['name']} · version {facts['version']}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width,initial-scale=1"><title>{escape(title)}</title><style>{_STYLE}</style></head>'
        f"<body><main><header><h1>{escape(facts['name'])} <small>version {facts['version']}</small></h1>"
        f'<div class="id">{facts["id"]}<br>{escape(facts["created"])}</div></header>{_figures(facts)}'
        f"{columns}{_quality(facts)}{_extremes(facts)}<footer>{_settings(facts['settings'])}</footer></main></body></html>\n"
    )


def _figures(facts: Facts) -> str:
    leak = facts["split"]["leak"]
    breaking = facts["quality"]["breaking"]
    refused = sum(facts["refused"].values())
    language = facts["languages"][0]["name"] if facts["languages"] else "-"
    rows = (
        (f"{facts['documents']:,}", "documents", ""),
        (units.size(facts["bytes"]), "of text", ""),
        (units.count(facts["tokens"]["tokens"]), "tokens, about", ""),
        (language, "main language", ""),
        (f"{breaking:,}", f"break a rule of {facts['quality']['preset']}", "alarm" if breaking else "good"),
        (f"{facts['duplicates']['clusters']:,}", "clusters of near-duplicates", ""),
        (f"{leak:.2%}", "of held-out text leaks", "alarm" if leak > 0.01 else "good"),
        (f"{refused:,}", "inputs refused", ""),
    )
    cells = "".join(
        f'<div class="{kind}"><b>{escape(value)}</b><span>{said}</span></div>' for value, said, kind in rows
    )
    return f'<div class="figures">{cells}</div>'


def _section(title: str, note: str, body: str, *, wide: bool = False) -> str:
    return f'<section{" class=wide" if wide else ""}><h2>{title}</h2><p class="note">{note}</p>{body}</section>'


def _lengths(facts: Facts) -> str:
    lengths = facts["lengths"]
    note = "There are no documents."
    if lengths["histogram"]:
        note = (
            f"Half of the documents are longer than {units.size(lengths['median'])}; eight of ten lie between "
            f"{units.size(lengths['p10'])} and {units.size(lengths['p90'])}."
        )
    return _section("Lengths", note, histogram(lengths["histogram"], units.size, "documents by size"))


def _languages(facts: Facts) -> str:
    total = max(facts["bytes"], 1)
    blocks = []
    for title, key in (
        ("Languages", "languages"),
        ("Forms", "forms"),
        ("Formats", "formats"),
        ("Licences", "licences"),
    ):
        rows = facts[key][:6]
        if key != "languages" and len(rows) == 1 and rows[0]["name"] == "not told":
            continue
        shown = bars(
            [(row["name"], row["bytes"], f"{row['bytes'] / total:.1%} · {row['documents']:,}") for row in rows]
        )
        blocks.append(f"<h3>{title}</h3>{shown}")
    return _section("What it is", "Share of the text, and number of documents.", "".join(blocks))


def _quality(facts: Facts) -> str:
    quality = facts["quality"]
    fate = "They were refused." if quality["dropped"] else "They were kept: documents are dropped only when told to."
    breaking = units.counted(quality["breaking"], "document")
    note = (
        f"Judged by <code>{quality['preset']}</code>: {breaking} with a broken rule. {fate if quality['rules'] else ''}"
    )
    rules = bars([(rule, count, f"{count:,}") for rule, count in list(quality["rules"].items())[:8]])
    plots = "".join(
        f"<div><h3>{name.replace('_', ' ')} · median {feature['median']:.3g}</h3>"
        f"{histogram(feature['histogram'], lambda value: f'{value:.3g}', name)}</div>"
        for name, feature in quality["features"].items()
    )
    broken = _table(
        ("document", "rules that it breaks"),
        ((_short(row["source"]), "; ".join(row["broken"])) for row in quality["examples"]),
    )
    body = f'{rules}<div class="pair">{plots}</div>{broken if quality["examples"] else ""}'
    return _section("Quality", note, body, wide=True)


def _duplicates(facts: Facts) -> str:
    found = facts["duplicates"]
    put = f" {found['aside']:,} of them are put aside." if found["aside"] else ""
    note = f"{units.counted(found['exact'], 'input')} refused as the same as a document that was there already. "
    if found["clusters"]:
        clusters = units.counted(found["clusters"], "cluster")
        note += f"{clusters} of near-duplicates: {found['near']:,} more than one of each.{put}"
    else:
        note += "No near-duplicates were found."
    rows = (
        (f"{row['documents']:,}", f"{row['similarity']:.0%}", "<br>".join(escape(_end(one)) for one in row["sources"]))
        for row in found["largest"]
    )
    body = _table(("size", "similar", "of these"), rows, raw=True) if found["largest"] else ""
    return _section("Duplicates", note, body)


def _split(facts: Facts) -> str:
    split = facts["split"]
    kind = "alarm" if split["leak"] > 0.01 else "good"
    note = (
        f'<span class="{kind}">{split["leak"]:.2%}</span> of {split["compared_runs"]:,} runs of {split["run_words"]} '
        "words from the held-out text, chosen by hash, stand in the training text, too."
    )
    documents = (
        units.counted(split["train_documents"], "document"),
        units.counted(split["held_out_documents"], "document"),
    )
    body = parts(
        [(f"training ({documents[0]})", split["train_bytes"]), (f"held out ({documents[1]})", split["held_out_bytes"])]
    )
    return _section("Split and leaks", note, body)


def _tokens(facts: Facts) -> str:
    tokens = facts["tokens"]
    note = (
        f"{escape(tokens['tokenizer'])}, on {units.size(tokens['sampled_bytes'])} of the text: "
        f"{tokens['bytes_per_token']:.2f} bytes/token; {tokens['used']:,} of {tokens['vocabulary']:,} ids occur, "
        f"{tokens['rare']:,} of them fewer than ten times."
    )
    shown = "".join(
        f'<code title="{row["share"]:.2%}">{escape(_visible(row["token"]))}</code>' for row in tokens["common"]
    )
    return _section("Tokens", note, f'<h3>the commonest</h3><div class="tokens">{shown}</div>')


def _refused(facts: Facts) -> str:
    if not facts["refused"]:
        return _section("Refused", "Nothing was refused.", "")
    counts = bars([(reason, count, f"{count:,}") for reason, count in facts["refused"].items()])
    rows = ((_short(row["source"]), row["detail"]) for row in facts["refused_examples"])
    table = _table(("input", "why"), rows) if facts["refused_examples"] else ""
    note = "What this version did not take. <code>treadle data refused</code> lists all."
    return _section("Refused", note, counts + table)


def _extremes(facts: Facts) -> str:
    blocks = "".join(
        f"<h3>{name}</h3>"
        + _table(
            ("size", "document", "begins"),
            ((units.size(row["bytes"]), _end(row["source"]), row["begins"]) for row in rows),
        )
        for name, rows in facts["extremes"].items()
    )
    return _section("Extremes", "The documents to look at first.", blocks, wide=True)


def _settings(settings: Facts) -> str:
    shown = ", ".join(f"{key}={value}" for key, value in settings.items() if value not in (None, [], ()))
    return f"Made with {escape(shown)}."


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, raw: bool = False) -> str:
    widths = {"size": "92px", "similar": "80px", "document": "34%", "input": "40%"}
    columns = "".join(f'<col style="width:{widths[head]}">' if head in widths else "<col>" for head in heads)
    top = "".join(f"<th>{escape(head)}</th>" for head in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{cell if raw else escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><colgroup>{columns}</colgroup><tr>{top}</tr>{body}</table>"


def _end(source: str) -> str:
    """The last two parts of a path: enough to know it again."""
    return "/".join(source.split("/")[-2:])


def _short(source: str) -> str:
    return source if len(source) <= 90 else "…" + source[-89:]


def _visible(token: str) -> str:
    return token.replace(" ", "·").replace("\n", "⏎").replace("\t", "⇥")
