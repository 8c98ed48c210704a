/// From paths to names that a script can give its models: readable, each once, no word of the language.
namespace Tva.Import

open System
open System.Collections.Generic
open System.IO
open System.Text
open Tva.Dsl
open Tva.Dsl.Syntax

module internal Endings =

    let all = [ ".index.json"; ".safetensors"; ".pth"; ".pt"; ".bin"; ".gguf" ]

    /// Whether a path is that of a checkpoint's file, by its ending.
    let isFile (path: string) = all |> List.exists (fun e -> path.EndsWith(e, StringComparison.OrdinalIgnoreCase))

type Names() =
    let taken = HashSet<string>(Help.entries.Value |> List.map _.Name)

    /// File names that say nothing of the model.
    let general =
        set [ "model"; "pytorch_model"; "adapter_model"; "consolidated"; "checkpoint"; "weights" ]

    let withoutExtension (name: string) =
        let strip (n: string) (ext: string) = if n.EndsWith(ext, StringComparison.OrdinalIgnoreCase) then n.Substring(0, n.Length - ext.Length) else n
        List.fold strip name Endings.all

    let word (text: string) =
        let out = StringBuilder()
        for rune in text.EnumerateRunes() do
            if Words.isPart rune then out.Append(rune.ToString()) |> ignore
            elif out.Length > 0 && out[out.Length - 1] <> '_' then out.Append '_' |> ignore
        let name = out.ToString().TrimEnd '_'
        if name = "" then "m" elif Words.isName name then name else "m_" + name

    /// A new name made of a text.
    member _.Fresh(text: string) =
        let name = word text
        let free n = not (Words.isKeyword n) && taken.Add n
        if free name then name
        else
            Seq.initInfinite (fun i -> $"{name}_{i + 2}") |> Seq.find free

    /// A new name made of a model's path.
    member names.OfPath(path: string) =
        let parts = path.Split([| '/'; '\\' |], StringSplitOptions.RemoveEmptyEntries) |> List.ofArray |> List.rev
        match parts |> List.map withoutExtension with
        | file :: folder :: _ when general.Contains(file.ToLowerInvariant()) && folder <> "." && folder <> ".." -> names.Fresh folder
        | file :: _ -> names.Fresh file
        | [] -> names.Fresh "m"
