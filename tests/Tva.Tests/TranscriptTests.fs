/// Each tests/cases/NAME.tva is run, each NAME.yml imported, and what it prints is compared with NAME.expected beside it: stdout, `---`, stderr, `exit N`.
/// TVA_UPDATE=1 writes those files anew instead; look at the difference before you commit it.
module Tva.Tests.TranscriptTests

open System
open System.IO
open System.Text.RegularExpressions
open Tva
open Xunit

let private folder = Repository.path "tests/cases"

/// The first line may be `# options: --set x=2`.
let private options (text: string) =
    let first = text.Split('\n').[0].Trim()
    let mark = "# options:"
    if first.StartsWith mark then
        first.Substring(mark.Length).Split(' ', StringSplitOptions.RemoveEmptyEntries) |> List.ofArray
    else
        []

/// Without what differs between machines: times, rates and where the repository lies.
let private settled (text: string) =
    let text = text.Replace(Repository.root, "$ROOT")
    Regex.Replace(text, @"^(saved .* \([^,)]*), [^)]*\)$", "$1)", RegexOptions.Multiline)

let cases () =
    let data = TheoryData<string>()
    for file in Seq.append (Directory.EnumerateFiles(folder, "*.tva")) (Directory.EnumerateFiles(folder, "*.yml")) |> Seq.sortWith (fun a b -> String.CompareOrdinal(a, b)) do
        // Parts that others include are not cases.
        if not ((Path.GetFileName file |> Unchecked.nonNull).StartsWith '_') then
            data.Add(Path.GetFileName file |> Unchecked.nonNull)
    data

[<Theory>]
[<MemberData(nameof cases)>]
let ``prints what is expected`` (name: string) =
    let text = File.ReadAllText(Path.Combine(folder, name))
    let command = if name.EndsWith ".yml" then "import" else "run"
    let ran = Command.runIn folder "" ([ command; name ] @ options text)
    let actual = settled $"{ran.Out}---\n{ran.Error}exit {ran.Status}\n"
    let expected = Path.Combine(folder, string (Path.ChangeExtension(name, ".expected")))
    if Environment.GetEnvironmentVariable "TVA_UPDATE" = "1" then
        File.WriteAllText(expected, actual)
    else
        Assert.True(File.Exists expected, $"{expected} is missing; run the tests once with TVA_UPDATE=1")
        Assert.Equal(File.ReadAllText(expected).ReplaceLineEndings "\n", actual, ignoreLineEndingDifferences = true)
