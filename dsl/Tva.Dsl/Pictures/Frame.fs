/// The frame that every picture stands in: its size, its texts for those who can't see it, and colours for light and dark.
module Tva.Dsl.Pictures.Frame

open Tva.Dsl.Pictures.Markup

/// Colours are named by use; text stays readable on each of them in either mode. No selector needs a character that XML escapes.
let style =
    ".tva{--ink:#1b1f24;--soft:#57606a;--paper:#ffffff;--grid:#d0d7de;--more:#4f9bea;--less:#f0883e;--seen:#1b1f24;\
     color-scheme:light dark;font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}\
     @media (prefers-color-scheme:dark){.tva{--ink:#f0f3f6;--soft:#9ea7b3;--paper:#0d1117;--grid:#3d444d;--more:#1f6feb;--less:#a04a08;--seen:#f0f3f6}}\
     .tva .paper{fill:var(--paper)}.tva text{fill:var(--ink)}.tva .soft{fill:var(--soft)}.tva .title{font-weight:600}\
     .tva .grid{stroke:var(--grid);stroke-width:1}.tva .axis{stroke:var(--soft);stroke-width:1}\
     .tva .more{fill:var(--more)}.tva .less{fill:var(--less)}.tva .edge{fill:none;stroke:var(--grid);stroke-width:.5}\
     .tva .hatch{stroke:var(--seen);stroke-width:.8;stroke-opacity:.32}.tva .dim{fill-opacity:.35}\
     .tva .v{font-size:10px;text-anchor:middle}.tva .w{font-size:9px;text-anchor:middle}\
     .tva .mark{fill:none;stroke:var(--seen);stroke-width:1.6}\
     .tva .curve{fill:none;stroke:var(--seen);stroke-width:1.8}.tva .dot{fill:var(--paper);stroke:var(--seen);stroke-width:1.4}"

let attr (name: string) (v: float) = name, length v

/// A text at a place.
let label x y size classes anchor (words: string) =
    labelled "text" [ attr "x" x; attr "y" y; attr "font-size" size; "class", classes; "text-anchor", anchor ] words

/// A text that may be cut, with the whole of it beside.
let name x y size classes anchor most (words: string) =
    let shown = Figures.cut most words
    let at = [ attr "x" x; attr "y" y; attr "font-size" size; "class", classes; "text-anchor", anchor ]
    Element("text", at, (if shown = words then [ Words words ] else [ labelled "title" [] words; Words shown ]))

let rect x y w h classes more children =
    Element("rect", [ attr "x" x; attr "y" y; attr "width" w; attr "height" h; "class", classes ] @ more, children)

let line x1 y1 x2 y2 classes = Element("line", [ attr "x1" x1; attr "y1" y1; attr "x2" x2; attr "y2" y2; "class", classes ], [])

/// A picture's parts before they are framed.
type Drawing =
    { Title: string
      /// What it shows, in words.
      Description: string
      Width: float
      Height: float
      Marks: Markup list }

/// Hatching for what is below zero or left out: slanted strokes, none of them beyond the place.
let hatch x y w h =
    let stroke c =
        // x + y = c, between the edges.
        let left, right = max 0.0 (c - h), min w c
        $"M{length (x + left)} {length (y + c - left)}L{length (x + right)} {length (y + c - right)}"
    Element("path", [ "d", System.String.Join("", [ for c in 6.0 .. 7.0 .. w + h - 2.0 -> stroke c ]); "class", "hatch" ], [])

/// The svg element. `id` tells it from others on a page; a picture by itself brings its colours along.
let svg (id: string) (alone: bool) (d: Drawing) =
    let titleId, descId = $"{id}-title", $"{id}-desc"
    Element(
        "svg",
        [ "xmlns", "http://www.w3.org/2000/svg"
          "class", "tva"
          "viewBox", $"0 0 {length d.Width} {length d.Height}"
          attr "width" d.Width
          attr "height" d.Height
          "role", "img"
          "aria-labelledby", $"{titleId} {descId}" ],
        [ labelled "title" [ "id", titleId ] d.Title
          labelled "desc" [ "id", descId ] d.Description
          if alone then
              labelled "style" [] style
          rect 0.0 0.0 d.Width d.Height "paper" [] []
          label 12.0 22.0 14.0 "title" "start" d.Title
          yield! d.Marks ]
    )
