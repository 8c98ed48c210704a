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

    /// The words that begin a statement; they are no functions.
    let statements: Entry list =
        let statement name signature summary example =
            { Name = name; Group = "statements"; Signature = signature; Summary = summary; Example = example; Derived = false }
        [ statement "def" "def f(x: Type, k: Type = default): Type = e" "A function; `##` lines right above are its documentation." "def half(x: Delta): Delta = 0.5 * x"
          statement "param" "param name = default" "A value that may be set from outside, with `--set name=value`." "param lambda = 0.3"
          statement "include" "include \"file.tva\"" "The definitions of another script, whose path is relative to this one." ""
          statement "print" "print(e, ...)" "Prints values in one line; an expression alone on its line is printed, too." "print(\"norm:\", 0.5)"
          statement "assert" "assert e, \"message\"" "Ends the run with exit status 3, the message and the values on both sides where the condition doesn't hold." "assert 1 < 2, \"numbers are in disorder\"" ]
