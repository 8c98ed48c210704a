/// From the tables of commands and options to the help that lists them.
module Tva.Usage

open System
open Argu

let help () =
    let row (left: string) right = "  " + left.PadRight 22 + right
    let option (c: ArgumentCaseInfo) =
        let value =
            match List.ofArray (c.UnionCaseInfo.GetFields()) with
            | [] -> ""
            | field :: _ when field.Name = "assignment" -> " NAME=VALUE"
            | field :: _ -> " " + field.Name.ToUpperInvariant()
        row (c.CommandLineNames.Value.Head + value) c.Description.Value
    String.Join(
        "\n",
        [ "tva, the task-vector algebra: makes models by algebra over checkpoints"
          ""
          "usage: tva COMMAND [OPTIONS]; options may stand before or after the rest"
          ""
          for name, takes, does in Arguments.commands do
              row ($"{name} {takes}".TrimEnd()) does
          ""
          for c in Arguments.flags.Value do
              option c
          row "--help" "print this" ]
    )
