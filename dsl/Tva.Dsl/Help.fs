/// From the tables of functions and the prelude to what is known of each function, for help and completion.
namespace Tva.Dsl

open System
open System.IO
open Tva.Dsl.Syntax
open Tva.Dsl.Typing

module internal Resources =

    let prelude =
        lazy
            (use stream = typeof<SessionText>.Assembly.GetManifestResourceStream "Prelude.tva" |> Unchecked.nonNull
             use reader = new StreamReader(stream)
             reader.ReadToEnd())

/// What is known of each function, for help and completion.
module Help =

    type Entry =
        { Name: string
          Group: string
          Signature: string
          Summary: string
          Example: string
          /// Written in TVA, in the prelude.
          Derived: bool }

    let private derived =
        lazy
            (let source = { Number = 0; Name = "<prelude>"; Folder = "."; Text = Resources.prelude.Value }
             fst (Parser.parse source)
             |> List.choose (fun s ->
                 match s.Node with
                 | Def d when not (d.Name.Text.StartsWith '_') ->
                     let lines = d.Doc.Split('\n') |> List.ofArray
                     let isExample (l: string) = l.StartsWith "example:"
                     Some
                         { Name = d.Name.Text
                           Group = "derived, written in TVA"
                           Signature = Trees.signature d
                           Summary = String.Join(" ", lines |> List.filter (isExample >> not))
                           Example = lines |> List.tryFind isExample |> Option.map (fun l -> l.Substring(8).Trim()) |> Option.defaultValue ""
                           Derived = true }
                 | _ -> None))

    /// Every function: built-in ones, then those of the prelude but for parts of others.
    let entries =
        lazy
            ((Builtins.Table.all
              |> List.map (fun b ->
                  { Name = b.Name; Group = b.Group; Signature = b.Signature; Summary = b.Summary; Example = b.Example; Derived = false }))
             @ derived.Value)
