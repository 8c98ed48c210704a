/// What dsl/Tva.Scripting/README.md and the README show of F#, run as written.
module Tva.Scripting.Tests.ReadmeTests

open System
open System.IO
open System.Threading
open Tva.Dsl
open Tva.Scripting
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Scripting.Tests.Support

let private blocks =
    lazy
        (let section (readme: string) title =
            let start = readme.IndexOf(title: string)
            let rest = readme.Substring start
            (match rest.IndexOf("\n## ", 5) with -1 -> rest | till -> rest.Substring(0, till)).Split "```"
         section (File.ReadAllText(Path.Combine(root, "dsl/Tva.Scripting/README.md"))) "# F# inside",
         section (File.ReadAllText(Path.Combine(root, "README.md"))) "## F# inside")

[<Fact>]
let ``the README's F# in a script is right`` () =
    for text in [ (fst blocks.Value)[1]; (snd blocks.Value)[1] ] do
        let ran = runText (heading + text)
        Assert.Empty(ran.Diagnostics |> List.map _.Message)
        Assert.Contains(ran.Events, (function Event.Shown(_, [ Shown.Card("Model", _) ]) -> true | _ -> false))

[<Fact>]
let ``the README's F# script is right`` () =
    use temp = new TempFolder()
    let saved = Path.Combine(temp.Path, "merged.safetensors")
    let text =
        (fst blocks.Value |> Array.find _.Contains("#r ")).Split('\n')
        |> Array.filter (fun l -> not (l.StartsWith "#"))
        |> String.concat "\n"
    let text = text.Replace("\"examples\"", $"@\"{examples}\"").Replace("\"out/merged.safetensors\"", $"@\"{saved}\"")
    use interactive = new Interactive([ for t in [ typeof<Session>; typeof<Evaluator>; typeof<Tva.Core.FaultException> ] -> t.Assembly.Location ])
    let answer = interactive.Interaction(text, "readme.fsx", CancellationToken.None)
    Assert.Empty(answer.Diagnostics |> List.filter (fun d -> d.Severity <> FSharp.Compiler.Diagnostics.FSharpDiagnosticSeverity.Info) |> List.map string)
    Assert.True(answer.Thrown.IsNone, $"{answer.Thrown}")
    let expected = number examples (heading + "norm(0.5 * A - B)")
    Assert.Equal(expected.ToString("F6", Globalization.CultureInfo.InvariantCulture), interactive.TakePrinted().Trim())
    Assert.True(File.Exists saved)
