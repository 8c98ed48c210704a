/// Every built-in function, and the names of the language that this build does not have.
module Tva.Dsl.Typing.Builtins.Table

open Tva.Dsl.Typing

let all: Builtin list =
    Loading.all @ Elementwise.all @ Members.all @ Reductions.all @ Scopes.all @ Stacks.all @ Matrices.all @ Checks.all @ Tables.all @ Iteration.all @ Bases.all @ Output.all @ Pictures.all

let private byName = lazy (all |> List.map (fun b -> b.Name, b) |> dict)

let find (name: string) =
    match byName.Value.TryGetValue name with
    | true, b -> Some b
    | _ -> None

/// Part of the language, absent here: what they are about.
let absent =
    let merges = "this merge is part of the language, but this build does not have it yet"
    let advice = "advice on coefficients is part of the language, but this build has none"
    dict
        [ for name in [ "advise"; "advised"; "conflicts"; "ood"; "forget" ] -> name, advice
          for name in
              [ "prune_rows" ] -> name, merges ]
