# A batch job: its command runs once, and its exit code is the task's. It ends with 3.
#
#     nomad job run -var image=URL -var pot=NAME example-jobs/batch.nomad.hcl

variable "image" {
  type        = string
  default     = "http://127.0.0.1:8000/pots"
  description = "URL of the directory that the image's files are in"
}

variable "pot" {
  type    = string
  default = "hello-linux" # hello-freebsd, on a client that runs FreeBSD
}

job "batch" {
  type = "batch"

  group "batch" {
    # It ends with 3 each time: nothing is gained by another.
    restart {
      attempts = 0
    }

    reschedule {
      attempts = 0
    }

    task "exit" {
      driver = "pot"

      config {
        image   = var.image
        pot     = var.pot
        tag     = "1.0"
        command = "/bin/hello"
        args    = ["exit", "3"]
      }

      resources {
        cpu    = 100 # MHz
        memory = 64  # MiB, though Nomad calls it MB
      }
    }
  }
}
