/// From a tree of elements to the text of an SVG or HTML file. Every text and attribute is escaped: what names in files say can't become markup.
namespace Tva.Dsl.Pictures

open System
open System.Globalization
open System.Text

type Markup =
    | Element of tag: string * attributes: (string * string) list * children: Markup list
    | Words of string

module Markup =

    /// What XML allows and what doesn't turn the text around it about: the rest becomes U+FFFD.
    let private isPlain (rune: Rune) =
        match rune.Value with
        | 0x9 | 0xA -> true
        | v when v < 0x20 || (v >= 0x7F && v <= 0x9F) || v = 0xFFFE || v = 0xFFFF -> false
        | v when (v >= 0x202A && v <= 0x202E) || (v >= 0x2066 && v <= 0x2069) || v = 0x200E || v = 0x200F || v = 0x61C -> false
        | _ -> true

    let private escape (out: StringBuilder) (text: string) =
        // Lone surrogates come as U+FFFD already.
        for rune in text.EnumerateRunes() do
            match rune.Value with
            | 0x26 -> out.Append "&amp;"
            | 0x3C -> out.Append "&lt;"
            | 0x3E -> out.Append "&gt;"
            | 0x22 -> out.Append "&quot;"
            | 0x27 -> out.Append "&#39;"
            | _ -> out.Append(if isPlain rune then rune.ToString() else "\uFFFD")
            |> ignore

    /// Elements without content, closed at once in either language.
    let private isVoid tag =
        match tag with
        | "meta" | "rect" | "line" | "path" | "circle" | "polyline" -> true
        | _ -> false

    let rec private write (out: StringBuilder) (markup: Markup) =
        match markup with
        | Words text -> escape out text
        // HTML takes a style as it stands and XML doesn't; ours holds nothing that they read differently.
        | Element("style", _, [ Words ours ]) -> out.Append("<style>").Append(ours).Append("</style>\n") |> ignore
        | Element(tag, attributes, children) ->
            out.Append('<').Append tag |> ignore
            for name, value in attributes do
                out.Append(' ').Append(name).Append("=\"") |> ignore
                escape out value
                out.Append '"' |> ignore
            if children.IsEmpty && isVoid tag then
                out.Append "/>" |> ignore
            else
                out.Append '>' |> ignore
                for c in children do
                    write out c
                out.Append("</").Append(tag).Append '>' |> ignore
            // A line for each mark keeps files that are kept in version control comparable.
            match tag with
            | "rect" | "g" | "path" | "circle" | "polyline" | "title" | "desc" | "style" | "svg" | "section" | "tr" | "p" | "h1" | "h2" | "table" | "line" ->
                out.Append '\n' |> ignore
            | "text" when children.Length = 1 -> out.Append '\n' |> ignore
            | _ -> ()

    let text (markup: Markup) =
        let out = StringBuilder()
        write out markup
        out.ToString()

    /// A length or a place: two digits after the point.
    let length (v: float) = (Math.Round(v, 2) + 0.0).ToString("0.##", CultureInfo.InvariantCulture)

    /// An element with a text in it.
    let labelled tag attributes (words: string) = Element(tag, attributes, [ Words words ])
