/// From drawings with their tables and words to one HTML page that needs nothing else: no scripts, no fonts, no network.
module Tva.Dsl.Pictures.Page

open Tva.Dsl
open Tva.Dsl.Pictures.Markup

/// A drawing with what there is to say of it, and its numbers for those who can't see it.
type Section =
    { Heading: string
      Words: string list
      Drawing: Frame.Drawing option
      Table: ResultTable option }

let private pageStyle =
    Frame.style
    + "body{margin:0 auto;max-width:72rem;padding:1rem 1.25rem 3rem;background:var(--paper);color:var(--ink);line-height:1.45}\
       h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}.wide{overflow-x:auto}svg{max-width:none;height:auto}\
       dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}\
       table{border-collapse:collapse;font-size:.85rem}td,th{border:1px solid var(--grid);padding:.15rem .5rem;text-align:right}\
       th[scope=row]{text-align:left;font-weight:400}summary{cursor:pointer;color:var(--soft)}"

let private table (caption: string) (t: ResultTable) =
    Element(
        "table",
        [],
        [ labelled "caption" [] caption
          Element("tr", [], labelled "th" [] "" :: (t.Columns |> List.map (labelled "th" [ "scope", "col" ])))
          for row, values in t.Rows do
              Element("tr", [], labelled "th" [ "scope", "row" ] row :: (values |> List.map (Figures.exact >> labelled "td" []))) ]
    )

let private section i (s: Section) =
    Element(
        "section",
        [],
        [ labelled "h2" [] s.Heading
          yield! s.Words |> List.map (labelled "p" [])
          match s.Drawing with
          | Some d -> Element("div", [ "class", "wide" ], [ Frame.svg $"s{i}" false d ])
          | None -> ()
          match s.Table with
          | Some t -> Element("details", [], [ labelled "summary" [] "The numbers"; Element("div", [ "class", "wide" ], [ table s.Heading t ]) ])
          | None -> () ]
    )

/// The text of an HTML file. `facts` stand above the sections.
let html (title: string) (facts: (string * string) list) (sections: Section list) : string =
    let head =
        Element(
            "head",
            [],
            [ Element("meta", [ "charset", "utf-8" ], [])
              Element("meta", [ "http-equiv", "Content-Security-Policy"; "content", "default-src 'none'; style-src 'unsafe-inline'" ], [])
              Element("meta", [ "name", "viewport"; "content", "width=device-width, initial-scale=1" ], [])
              labelled "title" [] title
              labelled "style" [] pageStyle ]
        )
    let list = facts |> List.collect (fun (name, v) -> [ labelled "dt" [] name; labelled "dd" [] v ])
    let body =
        Element("body", [ "class", "tva" ], [ Element("main", [], [ labelled "h1" [] title; Element("dl", [], list); yield! sections |> List.mapi section ]) ])
    "<!DOCTYPE html>\n" + text (Element("html", [ "lang", "en" ], [ head; body ])) + "\n"
