# A file and an environment variable from Nomad variables. First store them:
# nomad var put nomad/jobs/template greeting=hello
#
#     nomad job run -var image=URL -var pot=NAME example-jobs/template.nomad.hcl

variable "image" {
  type        = string
  default     = "http://127.0.0.1:8000/pots"
  description = "URL of the directory that the image's files are in"
}

variable "pot" {
  type    = string
  default = "hello-linux" # hello-freebsd, on a client that runs FreeBSD
}

job "template" {
  type = "batch"

  group "template" {
    task "read" {
      driver = "pot"

      # The task's directories are /local and /secrets in the pot.
      template {
        data        = "{{ with nomadVar \"nomad/jobs/template\" }}{{ .greeting }}{{ end }} from a file\n"
        destination = "local/greeting"
      }

      template {
        data        = "GREETING={{ with nomadVar \"nomad/jobs/template\" }}{{ .greeting }}{{ end }}"
        destination = "secrets/greeting.env"
        env         = true
      }

      config {
        image   = var.image
        pot     = var.pot
        tag     = "1.0"
        command = "/bin/hello"
        args    = ["cat", "/local/greeting"]
      }

      resources {
        cpu    = 100 # MHz
        memory = 64  # MiB, though Nomad calls it MB
      }
    }
  }
}
