// TVA in an F# notebook or script: dotnet pack Dsl.sln -c Release -o out/packages, then dotnet fsi examples/notebook.fsx.
#i "nuget: ../out/packages"
#r "nuget: Tva.Dsl, 0.1.0"

open System
open System.IO
open Tva.Core.Checkpoints
open Tva.Dsl

let zoo = Path.Combine(__SOURCE_DIRECTORY__, "zoo")
let evaluator = new Evaluator(EvaluatorOptions.Default.WithFolder zoo)

/// Runs a text and throws where it is wrong.
let run (text: string) (parameters: (string * obj) list) =
    evaluator.RunAsync(text, dict parameters |> Collections.Generic.Dictionary).Result.EnsureSucceeded()

let tasks =
    """
base  = model("base.safetensors")
tasks = family("tasks/*.safetensors", base)
"""

// A table comes back as numbers by row and column.
let similarity = (run (tasks + "similarity(tasks)") []).["similarity(tasks)"] :?> NumberTable
printfn "most alike to digits: %s" (similarity.Rows |> Seq.filter ((<>) "digits") |> Seq.maxBy (fun row -> similarity.[row, "digits"]))

// How far merges of growing strength are from the base.
for strength in [ 0.1; 0.2; 0.3 ] do
    let result = run (tasks + "param strength = 0\nmerged = base + strength * sum(tasks)\nnorm(merged - base)") [ ("strength", box strength) ]
    printfn "strength %.1f: %.3f" strength (unbox<float> result.["norm(merged - base)"])

// A model as arrays, without a file.
let merged = (run (tasks + "base + 0.3 * sum(tasks) |> save(\"memory:merged\")") []).Models.["merged"]
printfn "%d tensors, %d bytes in memory" merged.Tensors.Count (merged.Tensors |> Seq.sumBy _.Bytes)
